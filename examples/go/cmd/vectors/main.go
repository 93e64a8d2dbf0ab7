// Replays lua/vectors on an empty server of one's own (it is flushed): go run ./cmd/vectors redis://127.0.0.1:6379
//
// Shows how the scripts are called, without any coordinator. Exits with 1 where a reply or what the server holds differs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"anarcho"

	"github.com/redis/go-redis/v9"
)

type step struct {
	Call    string
	Command []any
	Keys    []any
	Args    []any
	Reply   json.RawMessage
	Changes map[string]any
}

type file struct {
	Contract string
	Cases    []struct {
		Name  string
		Since string
		Steps []step
	}
}

var kept map[string]string

// bytesOf: each character of the file is the byte of its number.
func bytesOf(text string) string {
	var bytes []byte
	for _, char := range text {
		bytes = append(bytes, byte(char))
	}
	return string(bytes)
}

// expand gives the arguments that one of the file stands for.
func expand(list []any) []any {
	var all []any
	for _, arg := range list {
		switch arg := arg.(type) {
		case string:
			all = append(all, bytesOf(arg))
		case map[string]any:
			if name, ok := arg["kept"].(string); ok {
				all = append(all, kept[name])
				continue
			}
			each := arg["each"].([]any)
			for number := int(each[1].(float64)); number <= int(each[2].(float64)); number++ {
				all = append(all, fmt.Sprintf("%s%d", each[0], number))
			}
		}
	}
	return all
}

func fits(expected, reply any) bool {
	text, isText := reply.(string)
	switch expected := expected.(type) {
	case nil:
		return reply == nil
	case string:
		return isText && bytesOf(expected) == text
	case float64:
		number, ok := reply.(int64)
		return ok && float64(number) == expected
	case []any:
		list, ok := reply.([]any)
		if !ok || len(list) != len(expected) {
			return false
		}
		for i := range expected {
			if !fits(expected[i], list[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		for kind, what := range expected {
			switch kind {
			case "error":
				failed, ok := reply.(redis.Error)
				if starts, isPattern := what.(map[string]any); isPattern && ok {
					return strings.HasPrefix(failed.Error(), starts["starts"].(string))
				}
				return ok && failed.Error() == what
			case "number":
				_, err := strconv.ParseUint(text, 10, 64)
				return isText && err == nil
			case "starts":
				return isText && strings.HasPrefix(text, bytesOf(what.(string)))
			case "unordered":
				return isPermutation(what.([]any), reply)
			case "keep":
				kept[what.(string)] = text
				return isText
			}
		}
	}
	return false
}

func isPermutation(expected []any, reply any) bool {
	list, ok := reply.([]any)
	if !ok || len(list) != len(expected) {
		return false
	}
	left := append([]any{}, list...)
	for _, item := range expected {
		found := -1
		for i, other := range left {
			if found < 0 && fits(item, other) {
				found = i
			}
		}
		if found < 0 {
			return false
		}
		left = append(left[:found], left[found+1:]...)
	}
	return true
}

func isOlder(version, since string) bool {
	numbers := strings.Split(version, ".")
	for i, part := range strings.Split(since, ".") {
		wanted, _ := strconv.Atoi(part)
		if found, _ := strconv.Atoi(numbers[i]); found != wanted {
			return found < wanted
		}
	}
	return false
}

func main() {
	options, err := redis.ParseURL(os.Args[1])
	check(err)
	options.Protocol, options.DisableIdentity, options.MaxRetries, options.PoolSize = 2, true, -1, 1
	client := redis.NewClient(options)
	run := func(words ...any) any {
		reply, err := client.Do(context.Background(), words...).Result()
		if failed, ok := err.(redis.Error); ok && err != redis.Nil {
			return failed
		}
		if err != redis.Nil {
			check(err)
		}
		return reply
	}
	lua, err := anarcho.Folder()
	check(err)
	scripts, contract, err := anarcho.Load(lua)
	check(err)
	for _, script := range scripts {
		run("SCRIPT", "LOAD", script.Text)
	}
	stateLua, err := os.ReadFile(filepath.Join(lua, "vectors/state.lua"))
	check(err)
	_, version, _ := strings.Cut(fmt.Sprint(run("INFO", "server")), "redis_version:")
	version, _, _ = strings.Cut(version, "\r")
	paths, _ := filepath.Glob(filepath.Join(lua, "vectors/*.json"))
	steps, failures := 0, 0
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		check(err)
		var all file
		check(json.Unmarshal(raw, &all))
		if all.Contract != contract {
			check(fmt.Errorf("%s is of contract %s", path, all.Contract))
		}
		for _, one := range all.Cases {
			if one.Since != "" && isOlder(version, one.Since) {
				continue
			}
			run("FLUSHALL")
			run("CONFIG", "SET", "maxmemory", "0")
			kept = map[string]string{}
			state := map[string]any{}
			for number, step := range one.Steps {
				steps++
				words := expand(step.Command)
				if step.Call != "" {
					keys := expand(step.Keys)
					words = append(append([]any{"EVALSHA", scripts[step.Call].Sha, len(keys)}, keys...), expand(step.Args)...)
				}
				reply := run(words...)
				for key, value := range step.Changes {
					if value == nil {
						delete(state, bytesOf(key))
					} else {
						state[bytesOf(key)] = value
					}
				}
				wrong := ""
				if step.Reply != nil {
					var expected any
					check(json.Unmarshal(step.Reply, &expected))
					if !fits(expected, reply) {
						wrong = fmt.Sprintf("answered %q", reply)
					}
				}
				rows := run("EVAL", string(stateLua), 0).([]any)
				for _, row := range rows {
					row := row.([]any)
					if !fits(state[row[0].(string)], row[1:]) && wrong == "" {
						wrong = fmt.Sprintf("the server holds %q", row)
					}
				}
				if len(rows) != len(state) && wrong == "" {
					wrong = fmt.Sprintf("the server holds %d keys and not %d", len(rows), len(state))
				}
				if wrong != "" {
					failures++
					fmt.Printf("%s: %s: step %d: %s\n", filepath.Base(path), one.Name, number+1, wrong)
					break
				}
			}
		}
	}
	fmt.Printf("%d steps, %d failures\n", steps, failures)
	if failures > 0 {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
