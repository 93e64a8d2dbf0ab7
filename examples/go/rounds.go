package anarcho

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// answers of a round, in the order in which they arrive.
type answers struct {
	pending  map[*node]bool
	done     map[*node][]any
	arriving chan answer
}

type answer struct {
	from  *node
	reply []any
}

// ask starts a call to each node.
func ask(nodes []*node, call func(n *node) ([]any, error)) *answers {
	all := &answers{map[*node]bool{}, map[*node][]any{}, make(chan answer, len(nodes))}
	for _, n := range nodes {
		all.pending[n] = true
		go func() {
			reply, err := call(n)
			var gone *away
			if errors.As(err, &gone) && gone.sent {
				reply = []any{"UNKNOWN", gone.why}
			} else if err != nil {
				reply = []any{"NOTSENT", err.Error()}
			}
			all.arriving <- answer{n, reply}
		}()
	}
	return all
}

// next waits for another answer, or so long.
func (a *answers) next(patience time.Duration) {
	timer := time.NewTimer(max(0, patience))
	defer timer.Stop()
	select {
	case came := <-a.arriving:
		delete(a.pending, came.from)
		a.done[came.from] = came.reply
	case <-timer.C:
	}
}

func (a *answers) of(status string) map[*node][]any {
	found := map[*node][]any{}
	for n, reply := range a.done {
		if text(reply, 0) == status {
			found[n] = reply
		}
	}
	return found
}

// heard counts the nodes that gave an answer of their own.
func (a *answers) heard() int { return len(a.done) - len(a.of("UNKNOWN")) - len(a.of("NOTSENT")) }

func (a *answers) areAllSlow() bool {
	for n := range a.pending {
		if !n.slow.Load() {
			return false
		}
	}
	return true
}

func (a *answers) callSlow() {
	for n := range a.pending {
		n.slow.Store(true)
	}
}

type writeRound struct {
	c       *Coordinator
	made    *plan
	state   *journey
	end     time.Time
	epoch   int64
	voters  []*node
	ballot  string
	answers *answers
}

// round: one ballot, one apply to each node, and where that is not enough one settle. Nil: another under a new ballot and the same op id (W3).
func (c *Coordinator) round(made *plan, state *journey, end time.Time) (*decision, error) {
	epoch, voters, err := c.voters()
	if state.ran && (err != nil || len(voters) > 0 && state.generation != epoch/generation) {
		return nil, &Indeterminate{"the cluster went on to another generation meanwhile"}
	}
	if err != nil || len(voters) < c.majority {
		return nil, err
	}
	state.generation = epoch / generation
	r := &writeRound{c: c, made: made, state: state, end: end, epoch: epoch, voters: voters, ballot: c.ballot()}
	flags := made.flags
	if state.keep {
		flags += "k"
	}
	if made.isRead {
		flags += "r"
	}
	if made.timed {
		slowest := voters[0].seat().offsetMs
		for _, n := range voters {
			slowest = min(slowest, n.seat().offsetMs)
		}
		flags += fmt.Sprintf("t%d", nowUs()/1000+slowest-10)
	}
	args := []string{r.ballot, state.op, flags, made.expected, "0", replyLimit, retryWindowMs, maxOffsetMs, strconv.FormatInt(made.lowestExpiryMs, 10)}
	args = append(args, encoded(made.commands)...)
	keys := append([]string{recordOf(made.register)}, made.keys...)
	r.answers = ask(voters, func(n *node) ([]any, error) { return n.call("apply", keys, args, epoch, time.Until(end)) })
	decided, settles := r.collect()
	if settles {
		if decided, err = r.settle(); err != nil {
			return nil, err
		}
	}
	if decided == nil {
		if expiring := r.prepareRetry(); expiring > 0 {
			time.Sleep(min(time.Duration(max(0, expiring+1-nowUs()/1000))*time.Millisecond, max(0, time.Until(end))))
		}
	}
	return decided, nil
}

func (r *writeRound) collect() (decided *decision, settles bool) {
	n, m, hedged := len(r.c.nodes), r.c.majority, false
	var hedgeEnds time.Time
	for {
		r.note()
		acks, absents := r.answers.of("ACK"), r.answers.of("ABSENT")
		heard := len(acks) + len(absents) + len(r.answers.of("NACK")) + len(r.answers.of("EXPIRING"))
		pending, agree := len(r.answers.pending), true
		var first, known []any
		for _, ack := range acks {
			if first == nil {
				first = ack
			}
			if ack[7] != nil {
				known = ack // a retry may find a reply forgotten on one node and known on another
			}
			agree = agree && text(ack, 3) == text(first, 3) && text(ack, 4) == text(first, 4)
		}
		if len(acks) == n && agree { // W1
			if known == nil {
				known = first
			}
			return &decision{known[7], text(first, 4)}, false
		}
		needed := n
		if r.made.isRead {
			needed = m
		}
		if !r.state.keep && len(absents) >= needed { // R3
			for _, absent := range absents {
				return &decision{absent[1], ""}, false
			}
		}
		unanimity := !hedged && agree && len(acks)+pending == n
		if len(acks) >= m && !unanimity {
			return nil, true
		}
		enough := len(acks)+pending >= m || !r.state.keep && len(absents)+pending >= needed
		left := time.Until(r.end)
		if pending == 0 || !enough || hedged && heard >= m || left <= 0 {
			return nil, false
		}
		if hedgeEnds.IsZero() && heard >= m {
			hedgeEnds = time.Now()
			if !r.answers.areAllSlow() {
				hedgeEnds = hedgeEnds.Add(hedge)
			}
		}
		if !hedgeEnds.IsZero() && !hedged {
			left = min(left, time.Until(hedgeEnds))
		}
		r.answers.next(left)
		if !hedgeEnds.IsZero() && !hedged && !time.Now().Before(hedgeEnds) {
			hedged = true
			r.answers.callSlow()
		}
	}
}

func (r *writeRound) note() {
	for n, reply := range r.answers.done {
		switch text(reply, 0) {
		case "ACK", "ABSENT", "NACK":
		case "EXPIRING":
			if at, _ := strconv.ParseInt(text(reply, 1), 10, 64); at > nowUs()/1000+2*maxClockOffsetMs {
				r.answers.done[n] = []any{"LOST", "a key is gone there that is not due"} // its data was changed behind the protocol
			}
		default:
			r.state.why[n] = strings.Join(texts(reply), " ")
		}
	}
}

// settle: what the highest acknowledgement holds is settled under this ballot (W2).
func (r *writeRound) settle() (*decision, error) {
	c, acks := r.c, r.answers.of("ACK")
	source := sortedByRank(acks)[0]
	winner := acks[source]
	g := &goal{r.made.register, r.ballot, text(winner, 3), text(winner, 4), source}
	same := map[*node]bool{}
	for n, ack := range acks {
		if text(ack, 3) == g.version && text(ack, 4) == g.digest {
			same[n] = true
		}
	}
	// Nodes that are away, or late, are remembered as missing it by those that take it.
	dirty := "0"
	if len(r.answers.done) < len(c.nodes) {
		dirty = "1"
	}
	var to []*node
	for _, n := range r.voters {
		_, answered := r.answers.done[n]
		if _, acked := acks[n]; same[n] || !answered || acked && len(same) < c.majority {
			to = append(to, n)
		}
	}
	settles := ask(to, func(n *node) ([]any, error) {
		if _, acked := acks[n]; acked && !same[n] {
			return g.transfer(n, dirty, r.epoch)
		}
		confirm := []string{g.ballot, g.version, g.digest, "confirm", "", "", dirty}
		return n.call("settle", []string{recordOf(g.register)}, confirm, r.epoch, time.Until(r.end))
	})
	accepted := func() int { return len(settles.of("SETTLED")) }
	ends := r.end
	for len(settles.pending) > 0 && accepted() < c.majority && accepted()+len(settles.pending) >= c.majority && time.Now().Before(ends) {
		settles.next(time.Until(ends))
		if late := time.Now().Add(hedge); len(settles.of("NACK")) > 0 && late.Before(ends) {
			ends = late // a higher ballot is about: the rest is not worth a long wait
		}
	}
	for _, reply := range settles.of("NACK") {
		c.observe(text(reply, 1))
	}
	if len(settles.of("CONFLICT")) > 0 {
		return nil, &Indeterminate{"CONFLICT: some coordinator has used a ballot twice; stop and look"}
	}
	if accepted() < c.majority {
		return nil, nil
	}
	go func() {
		for end := time.Now().Add(answerTimeout); len(settles.pending) > 0 && time.Now().Before(end); {
			settles.next(time.Until(end))
		}
		took := settles.of("SETTLED")
		for _, n := range c.nodes {
			if _, ok := took[n]; !ok && n.seat().fence != "" {
				c.mend(g, n)
			}
		}
	}()
	return &decision{winner[7], g.digest}, nil
}

// prepareRetry notes whether the op may have run somewhere, and what the next ballot must be above.
func (r *writeRound) prepareRetry() int64 {
	expiring := int64(0)
	r.note()
	for _, n := range r.voters {
		reply, answered := r.answers.done[n]
		if !answered {
			r.state.why[n], reply = "it has not answered yet", []any{"UNKNOWN", ""}
		}
		switch text(reply, 0) {
		case "UNKNOWN":
			r.state.ran = r.state.ran || !r.made.isRead
		case "ACK":
			r.state.ran = r.state.ran || !r.made.isRead && text(reply, 5) != ""
		case "NACK":
			r.state.ran = r.state.ran || !r.made.isRead && text(reply, 1) == r.ballot
			r.c.observe(text(reply, 1))
		case "EXPIRING":
			at, _ := strconv.ParseInt(text(reply, 1), 10, 64)
			expiring = max(expiring, at)
			r.c.observeUs((at + 1) * 1000)
		}
	}
	r.state.keep = r.state.keep || !r.made.isRead || len(r.answers.of("ABSENT")) > 0
	return expiring
}

// holds, R2: the same settle, nothing after it, and no key that is due since.
func holds(reply, other []any) bool {
	if text(reply, 2) == "" || text(reply, 3) != text(reply, 4) {
		return false
	}
	for at := 2; at <= 5; at++ {
		if text(reply, at) != text(other, at) {
			return false
		}
	}
	due, _ := strconv.ParseInt(text(other, 7), 10, 64)
	settled, _ := strconv.ParseInt(text(reply, 2)[:13], 10, 64)
	return due <= settled
}

func (c *Coordinator) read(made *plan) ([]any, string, error) {
	for range tries {
		decided, again, err := c.readRound(made)
		if err != nil {
			return nil, "", err
		}
		if decided != nil {
			replies, _ := decided.reply.([]any)
			return replies, decided.digest, nil
		}
		if !again {
			break
		}
	}
	return c.write(ofRegister(made.register, true, made.keys, made.commands...))
}

func (c *Coordinator) readRound(made *plan) (decided *decision, again bool, err error) {
	epoch, voters, err := c.voters()
	if err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	atMs := max(nowUs(), c.lastUs) / 1000
	c.mu.Unlock()
	args := append([]string{strconv.FormatInt(atMs, 10)}, encoded(made.commands)...)
	keys := append([]string{recordOf(made.register)}, made.keys...)
	all := ask(voters, func(n *node) ([]any, error) { return n.call("read", keys, args, epoch, c.timeout) })
	n, m := len(c.nodes), c.majority
	var hedgeEnds time.Time
	for {
		reads, absents := all.of("READ"), all.of("ABSENT")
		var first []any
		agree := true
		for source, reply := range reads {
			if first == nil {
				first = reply
			}
			agree = agree && text(reply, 1) == text(first, 1) && text(reply, 4) == text(first, 4) && text(reply, 5) == text(first, 5)
			holders := 0
			for _, other := range reads {
				if holds(reply, other) {
					holders++
				}
			}
			if holders >= m { // R2
				go c.repairAfterRead(made.register, source, reply, all)
				return &decision{reply[6], text(reply, 5)}, false, nil
			}
		}
		if len(reads) == n && agree { // R1
			return &decision{first[6], text(first, 5)}, false, nil
		}
		if len(absents) >= m { // R3
			if len(reads) > 0 {
				go c.settleDoubt(made.register)
			}
			for _, absent := range absents {
				return &decision{absent[1], ""}, false, nil
			}
		}
		if hedgeEnds.IsZero() && all.heard() >= m {
			hedgeEnds = time.Now()
			if !all.areAllSlow() {
				hedgeEnds = hedgeEnds.Add(hedge)
			}
		}
		if len(all.pending) == 0 || !hedgeEnds.IsZero() && !time.Now().Before(hedgeEnds) {
			break
		}
		patience := c.timeout
		if !hedgeEnds.IsZero() {
			patience = time.Until(hedgeEnds)
		}
		all.next(patience)
	}
	all.callSlow()
	for _, reply := range all.of("READ") {
		c.observe(text(reply, 1))
	}
	return nil, len(all.pending) == 0 && all.heard() >= m && len(all.of("EXPIRING")) == 0, nil
}

func (c *Coordinator) repairAfterRead(register string, source *node, reply []any, all *answers) {
	for end := time.Now().Add(answerTimeout); len(all.pending) > 0 && time.Now().Before(end); {
		all.next(time.Until(end))
	}
	reads := all.of("READ")
	var stale []*node
	for n, other := range all.done {
		if word := text(other, 0); word == "UNKNOWN" || word == "NOTSENT" || reads[n] != nil && holds(reply, other) {
			continue
		}
		if reads[n] != nil && text(other, 1) > text(reply, 2) {
			c.settleDoubt(register) // somebody is at work there under a higher ballot, or died
			return
		}
		stale = append(stale, n)
	}
	g := &goal{register, text(reply, 2), text(reply, 4), text(reply, 5), source}
	for _, n := range stale {
		c.mend(g, n)
	}
}
