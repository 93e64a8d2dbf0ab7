// Package anarcho is a coordinator for anarchoredis: linearizable reads and writes on independent Redis servers, next to coordinators in
// other languages on the same data. It keeps the contract of lua/README.md.
package anarcho

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// Script is a script as a node caches it.
type Script struct{ Text, Sha string }

var (
	usesLine     = regexp.MustCompile(`(?m)^-- USES(.*)$`)
	contractLine = regexp.MustCompile(`local contract = '(\d+)'`)
)

// Folder is lua/ of a checkout, or the one that was copied beside this package, or ANARCHO_LUA.
func Folder() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	here := filepath.Dir(file)
	for _, place := range []string{os.Getenv("ANARCHO_LUA"), filepath.Join(here, "lua"), filepath.Join(here, "../../lua"), "lua"} {
		if _, err := os.Stat(filepath.Join(place, "apply.lua")); place != "" && err == nil {
			return place, nil
		}
	}
	return "", fmt.Errorf("no folder lua: name it in ANARCHO_LUA")
}

// Load pastes the scripts by the rule of the contract: the fragments of the USES line, then the file, byte for byte. Also the number of the
// contract that they keep.
func Load(lua string) (map[string]Script, string, error) {
	scripts := map[string]Script{}
	files, _ := filepath.Glob(filepath.Join(lua, "*.lua"))
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, "", err
		}
		var text bytes.Buffer
		for _, part := range strings.Fields(string(usesLine.FindSubmatch(body)[1])) {
			fragment, err := os.ReadFile(filepath.Join(lua, "lib", part+".lua"))
			if err != nil {
				return nil, "", err
			}
			text.Write(fragment)
		}
		text.Write(body)
		sum := sha1.Sum(text.Bytes())
		scripts[strings.TrimSuffix(filepath.Base(file), ".lua")] = Script{text.String(), hex.EncodeToString(sum[:])}
	}
	contract, err := os.ReadFile(filepath.Join(lua, "lib/contract.lua"))
	if err != nil {
		return nil, "", err
	}
	return scripts, string(contractLine.FindSubmatch(contract)[1]), nil
}
