package anarcho

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	limitBytes  = "1048576"
	stringSlice = 1048576
	patience    = 30 * time.Second
)

var errMany = errors.New("the register has more keys than one call takes, or its source went on: anarcho-heal brings it")

func recordOf(register string) string { return "anrcho_version:{" + register + "}" }

func text(reply []any, at int) string { return fmt.Sprint(reply[at]) }

func list(reply []any, at int) []any {
	items, _ := reply[at].([]any)
	return items
}

func texts(items []any) []string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = fmt.Sprint(item)
	}
	return all
}

// goal is a history that a node is to hold.
type goal struct {
	register, ballot, version, digest string
	source                            *node
}

// transfer moves a register's state to a node, with what it lacks; visible only with the settle at the end, whose reply it answers.
func (g *goal) transfer(to *node, dirty string, epoch int64) ([]any, error) {
	record := []string{recordOf(g.register)}
	settle := func(mode, base, ops string, state []string) ([]any, error) {
		return to.call("settle", record, append([]string{g.ballot, g.version, g.digest, mode, base, ops, dirty}, state...), epoch, patience)
	}
	page, err := to.call("digest", record, []string{"of"}, epoch, patience)
	if err != nil {
		return nil, err
	}
	known := text(list(page, 2)[0].([]any), 2)
	if known == g.digest {
		return settle("confirm", "", "", nil)
	}
	bases := []string{known, ""}
	if known == "" {
		bases = bases[1:]
	}
	var answer []any
	for _, base := range bases {
		what := []string{"all", limitBytes}
		if base != "" {
			what = []string{"since", limitBytes, base}
		}
		reply, err := g.snapshot(nil, what)
		if err != nil {
			return nil, err
		}
		mode := text(reply, 8)
		if mode == "many" {
			return nil, errMany
		}
		states, err := g.complete(to, list(reply, 10))
		if err != nil {
			return nil, err
		}
		if mode != "delta" {
			base = ""
		}
		if answer, err = settle(mode, base, text(reply, 6), encodeStates(reply, states)); err != nil {
			return nil, err
		}
		if text(answer, 0) == "REFUSED" && strings.Contains(text(answer, 1), "DUMP payload version") {
			// An older server does not read a newer one's streams: they go entry by entry.
			if err := g.spellOut(states); err != nil {
				return nil, err
			}
			if answer, err = settle(mode, base, text(reply, 6), encodeStates(reply, states)); err != nil {
				return nil, err
			}
		}
		if text(answer, 0) == "SETTLED" {
			break
		}
	}
	return answer, nil
}

func encodeStates(reply []any, states [][]any) []string {
	log := texts(list(reply, 9))
	args := append([]string{text(reply, 7), strconv.Itoa(len(log))}, log...)
	args = append(args, strconv.Itoa(len(states)))
	for _, state := range states {
		elements := texts(list(state, 3))
		args = append(args, text(state, 0), text(state, 1), text(state, 2), strconv.Itoa(len(elements)))
		args = append(args, elements...)
	}
	return args
}

func (g *goal) snapshot(keys []string, what []string) ([]any, error) {
	reply, err := g.source.call("snapshot", append([]string{recordOf(g.register)}, keys...), what, -1, patience)
	if err != nil {
		return nil, err
	}
	if text(reply, 0) != "SNAPSHOT" || text(reply, 4) != g.version || text(reply, 5) != g.digest {
		return nil, errMany
	}
	return reply, nil
}

func (g *goal) spellOut(states [][]any) error {
	for i, state := range states {
		if text(state, 1) == "dump" {
			reply, err := g.snapshot([]string{text(state, 0)}, []string{"streams", limitBytes})
			if err != nil {
				return err
			}
			states[i] = list(reply, 10)[0].([]any)
		}
	}
	return nil
}

// complete fetches what did not fit into the first answer, and takes large keys over in slices.
func (g *goal) complete(to *node, listed []any) ([][]any, error) {
	var done [][]any
	for len(listed) > 0 {
		var later []string
		for _, item := range listed {
			state := item.([]any)
			switch text(state, 1) {
			case "later":
				later = append(later, text(state, 0))
				continue
			case "large":
				staged, err := g.stage(to, state)
				if err != nil {
					return nil, err
				}
				state = staged
			}
			done = append(done, state)
		}
		listed = nil
		for len(later) > 0 {
			count := min(1000, len(later))
			reply, err := g.snapshot(later[:count], []string{"keys", limitBytes})
			if err != nil {
				return nil, err
			}
			listed, later = append(listed, list(reply, 10)...), later[count:]
		}
	}
	return done, nil
}

func (g *goal) stage(to *node, state []any) ([]any, error) {
	record, name := recordOf(g.register), text(state, 0)
	form, length := text(list(state, 3), 0), text(list(state, 3), 1)
	staging, staged, first := "anrcho_stage:"+random16(), "0", "1"
	piece := func(position, count string) (string, []string, error) {
		reply, err := g.source.call("snapshot", []string{record, name}, []string{"slice", limitBytes, position, count}, -1, patience)
		if err != nil {
			return "", nil, err
		}
		if text(reply, 0) != "SLICE" || text(reply, 1) != g.version || text(reply, 2) != g.digest {
			return "", nil, errMany
		}
		return text(reply, 3), texts(list(reply, 4)), nil
	}
	put := func(first string, elements []string) error {
		reply, err := to.call("stage", []string{record, staging}, append([]string{form, first, "60000"}, elements...), -1, patience)
		if err == nil && text(reply, 0) != "STAGED" {
			err = fmt.Errorf("%v", reply)
		}
		if err == nil {
			staged = text(reply, 1)
		}
		return err
	}
	if form == "string" {
		// The end comes first, so that the server makes room once.
		total, _ := strconv.Atoi(length)
		for place := (total - 1) / stringSlice * stringSlice; place >= 0; place -= stringSlice {
			_, elements, err := piece(strconv.Itoa(place), strconv.Itoa(stringSlice))
			if err == nil {
				err = put(fmt.Sprintf("%s@%d", first, place), elements)
			}
			if err != nil {
				return nil, err
			}
			first = "0"
		}
	} else {
		for position := "0"; first == "1" || position != "0"; {
			next, elements, err := piece(position, "1000")
			if err == nil && len(elements) > 0 {
				err = put(first, elements)
				first = "0"
			}
			if err != nil {
				return nil, err
			}
			if position = next; position == "0" {
				break
			}
		}
	}
	return []any{name, "staged", state[2], []any{staging, form, staged}}, nil
}
