package anarcho

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What a command means to the protocol: its keys, read or write, and the form in which every node computes the same from it.
// By where the keys are: the first argument, all of them, the first two, every other one, behind their number, ...
var reads = map[string]string{
	"first": "GET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS TYPE TTL PTTL LLEN LINDEX LRANGE LPOS HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS " +
		"HSTRLEN SCARD SISMEMBER SMISMEMBER SMEMBERS ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK ZREVRANK ZRANGE ZREVRANGE ZRANGEBYSCORE " +
		"ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX GEOPOS GEODIST GEOHASH GEOSEARCH XLEN XRANGE XREVRANGE SRANDMEMBER",
	"all":      "EXISTS MGET TOUCH SDIFF SINTER SUNION",
	"numbered": "SINTERCARD ZDIFF ZINTER ZUNION ZINTERCARD",
}

var writes = map[string]string{
	"first": "APPEND SET SETNX SETEX PSETEX GETSET GETDEL GETEX SETRANGE SETBIT INCR INCRBY DECR DECRBY INCRBYFLOAT EXPIRE PEXPIRE EXPIREAT " +
		"PEXPIREAT PERSIST LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LINSERT LREM LSET LTRIM HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT SADD SREM " +
		"SPOP ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE GEOADD PFADD XADD XDEL",
	"all":    "DEL UNLINK SDIFFSTORE SINTERSTORE SUNIONSTORE PFMERGE",
	"two":    "RENAME RENAMENX LMOVE RPOPLPUSH SMOVE COPY ZRANGESTORE GEOSEARCHSTORE",
	"pairs":  "MSET MSETNX",
	"stored": "ZUNIONSTORE ZINTERSTORE ZDIFFSTORE",
	"behind": "BITOP",
}

const hashed = " INCRBYFLOAT HINCRBYFLOAT "

// Commands for which others may wait on a blocking pop.
const waking = " LPUSH RPUSH LMOVE RPOPLPUSH ZADD ZINCRBY GEOADD " +
	"ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE GEOSEARCHSTORE RENAME RENAMENX COPY XADD DEL UNLINK "

const mostArguments = 7900

type kind struct {
	isRead bool
	where  string
}

var kinds = func() map[string]kind {
	all := map[string]kind{}
	for _, table := range []map[string]string{reads, writes} {
		for where, names := range table {
			for _, name := range strings.Fields(names) {
				_, isRead := reads[where]
				all[name] = kind{isRead && strings.Contains(" "+reads[where]+" ", " "+name+" "), where}
			}
		}
	}
	return all
}()

type plan struct {
	isRead         bool
	register       string
	keys           []string
	commands       [][]string
	flags          string
	lowestExpiryMs int64
	timed          bool
	expected       string
	random         string
	original       []string
}

// registerOf is the scope that the key starts with, the longest first; else what stands between the first { and the next }; else the key.
func registerOf(key string, scopes []string) string {
	for _, scope := range scopes {
		if strings.HasPrefix(key, scope) {
			return scope
		}
	}
	if start := strings.IndexByte(key, '{'); start >= 0 {
		if length := strings.IndexByte(key[start+1:], '}'); length > 0 {
			return key[start+1 : start+1+length]
		}
	}
	return key
}

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

func planOf(words []any, nowMs int64, scopes []string) (*plan, error) {
	args := make([]string, len(words))
	for i, word := range words {
		if raw, ok := word.([]byte); ok {
			args[i] = string(raw)
		} else {
			args[i] = fmt.Sprint(word)
		}
	}
	name := ""
	if len(args) > 0 {
		name = strings.ToUpper(args[0])
	}
	of, known := kinds[name]
	if !known {
		return nil, refuse("'%s' has no deterministic form in this coordinator", name)
	}
	if len(args) > mostArguments {
		return nil, refuse("a command of %d arguments: a script takes %d, split it", len(args), mostArguments)
	}
	keys, err := keysOf(args, of.where)
	if err != nil {
		return nil, err
	}
	made := &plan{isRead: of.isRead, keys: unique(keys), commands: [][]string{args}, expected: "*", original: args}
	if len(keys) == 0 {
		return nil, refuse("wrong number of arguments for '%s'", name)
	}
	made.register = registerOf(keys[0], scopes)
	for _, key := range keys {
		if strings.HasPrefix(key, "anrcho_") {
			return nil, refuse("keys that begin with anrcho_ are the protocol's")
		}
		if registerOf(key, scopes) != made.register {
			return nil, refuse("the keys belong to several registers: give them the same {hash tag}")
		}
	}
	if strings.Contains(hashed, " "+name+" ") {
		made.flags += "h"
	}
	if strings.Contains(waking, " "+name+" ") {
		made.flags += "w"
	}
	switch name {
	case "SPOP", "SRANDMEMBER":
		made.random = name
	case "XADD":
		return made, fixXadd(made)
	case "COPY":
		for _, word := range args[min(3, len(args)):] {
			if strings.EqualFold(word, "DB") {
				return nil, refuse("COPY to another database: nodes use one")
			}
		}
	default:
		return made, makeAbsolute(made, name, nowMs)
	}
	return made, nil
}

func ofRegister(register string, isRead bool, keys []string, commands ...[]string) *plan {
	return &plan{isRead: isRead, register: register, keys: keys, commands: commands, expected: "*"}
}

func unique(keys []string) []string {
	seen, all := map[string]bool{}, []string{}
	for _, key := range keys {
		if !seen[key] {
			all = append(all, key)
		}
		seen[key] = true
	}
	return all
}

func keysOf(args []string, where string) ([]string, error) {
	slice := func(from, to int) []string { return args[min(from, len(args)):min(to, len(args))] }
	switch where {
	case "first":
		return slice(1, 2), nil
	case "all":
		return slice(1, len(args)), nil
	case "two":
		return slice(1, 3), nil
	case "behind":
		return slice(2, len(args)), nil
	case "pairs":
		var keys []string
		for i := 1; i < len(args); i += 2 {
			keys = append(keys, args[i])
		}
		return keys, nil
	}
	at := 2
	if where == "numbered" {
		at = 1
	}
	count := -1
	if at < len(args) {
		if number, err := strconv.Atoi(args[at]); err == nil {
			count = number
		}
	}
	if count < 0 {
		return nil, refuse("the number of keys is not a number")
	}
	keys := slice(at+1, at+1+min(count, len(args)))
	if where == "stored" {
		keys = append([]string{args[1]}, keys...)
	}
	return keys, nil
}

func fixXadd(made *plan) error {
	args, at := made.commands[0], 2
	word := func(at int) string {
		if at < len(args) {
			return strings.ToUpper(args[at])
		}
		return ""
	}
	for word(at) == "NOMKSTREAM" || word(at) == "MAXLEN" || word(at) == "MINID" {
		switch {
		case word(at) == "NOMKSTREAM":
			at++
		case word(at+1) == "~":
			return refuse("XADD with ~ depends on how a node packs its entries: use =")
		case word(at+1) == "=":
			at += 3
		default:
			at += 2
		}
	}
	made.timed = word(at) == "*"
	return nil
}

var (
	expires = regexp.MustCompile(`^P?EXPIRE(AT)?$`)
	setsEx  = regexp.MustCompile(`^P?SETEX$`)
	optionP = regexp.MustCompile(`^(?i)(EX|PX)(AT)?$`)
)

// makeAbsolute: relative expiry becomes absolute, the same in every retry; what has passed is sent as 1, which needs no clock.
func makeAbsolute(made *plan, name string, nowMs int64) error {
	args := made.commands[0]
	var failed error
	absolute := func(text string, unitMs int64, relative bool) string {
		value, err := strconv.ParseInt(text, 10, 52)
		if err != nil {
			failed = refuse("value is not an integer or out of range")
			return text
		}
		atMs := value * unitMs
		if relative {
			atMs += nowMs
			if value <= 0 && !strings.HasSuffix(name, "EXPIRE") {
				failed = refuse("invalid expire time in '%s' command", strings.ToLower(name))
			}
		}
		if atMs <= nowMs {
			return "1"
		}
		made.lowestExpiryMs = atMs
		return strconv.FormatInt(atMs, 10)
	}
	unit := func(inMs bool) int64 {
		if inMs {
			return 1
		}
		return 1000
	}
	switch {
	case expires.MatchString(name) && len(args) >= 3:
		at := absolute(args[2], unit(name[0] == 'P'), !strings.HasSuffix(name, "AT"))
		made.commands[0] = append([]string{"PEXPIREAT", args[1], at}, args[3:]...)
	case setsEx.MatchString(name) && len(args) == 4:
		made.commands[0] = []string{"SET", args[1], args[3], "PXAT", absolute(args[2], unit(name[0] == 'P'), true)}
	case name == "SET" || name == "GETEX":
		first := map[string]int{"SET": 3, "GETEX": 2}[name]
		out := append([]string{}, args...)
		for i := first; i < len(args)-1; i++ {
			if optionP.MatchString(args[i]) {
				out[i] = "PXAT"
				out[i+1] = absolute(args[i+1], unit(args[i][0]|32 == 'p'), len(args[i]) == 2)
				break
			}
		}
		made.commands[0] = out
	}
	return failed
}
