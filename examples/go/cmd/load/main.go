// Works on the keys of the conformance run until its standard input ends, and prints each operation as a line of JSON: load URLS NAME TASKS
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"anarcho"
)

const keys = 6

// now is CLOCK_MONOTONIC, which all processes of a machine share.
func now() int64 {
	var at syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&at)), 0)
	return at.Nano()
}

func commandOf(client string, count int) []any {
	roll, key := rand.Float64(), rand.Intn(keys)
	// Values are numbers that nobody else sets.
	value := 0
	for _, char := range []byte(client[len(client)-3:]) {
		value = value<<8 | int(char)
	}
	switch {
	case roll < 0.4:
		return []any{"GET", fmt.Sprintf("n:%d", key)}
	case roll < 0.6:
		return []any{"SET", fmt.Sprintf("n:%d", key), strconv.Itoa(value*1_000_000 + count)}
	case roll < 0.7:
		return []any{"INCR", fmt.Sprintf("n:%d", key)}
	case roll < 0.85:
		return []any{"INCR", fmt.Sprintf("count:%d", key)}
	}
	return []any{"SADD", fmt.Sprintf("set:%d", key), fmt.Sprintf("%s-%d", client, count)}
}

func main() {
	coordinator, err := anarcho.Connect(context.Background(), strings.Split(os.Args[1], ","), "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	var stopped atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stopped.Store(true)
	}()
	tasks, _ := strconv.Atoi(os.Args[3])
	var group sync.WaitGroup
	var printing sync.Mutex
	for task := 0; task < tasks; task++ {
		group.Add(1)
		go func() {
			defer group.Done()
			client := fmt.Sprintf("%s%d", os.Args[2], task)
			for count := 1; !stopped.Load(); count++ {
				command := commandOf(client, count)
				line := map[string]any{"client": client, "command": command, "begin": now()}
				reply, err := coordinator.Execute(command...)
				var unknown *anarcho.Indeterminate
				var not *anarcho.NotApplied
				switch {
				case err == nil:
					line["reply"] = reply
				case errors.As(err, &unknown):
					line["indeterminate"] = err.Error()
				case errors.As(err, &not):
					line["not_applied"] = err.Error()
				default:
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				line["end"] = now()
				text, _ := json.Marshal(line)
				printing.Lock()
				fmt.Println(string(text))
				printing.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	group.Wait()
	coordinator.Close()
}
