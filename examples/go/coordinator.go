package anarcho

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The same for all coordinators.
const (
	replyLimit    = "4096"
	retryWindowMs = "60000"
	maxOffsetMs   = "500"
)

const (
	hedge = 50 * time.Millisecond
	tries = 2
)

// Coordinator runs commands on independent nodes as on one. Use it from any number of goroutines.
type Coordinator struct {
	nodes    []*node
	majority int
	timeout  time.Duration
	id       string
	cluster  string
	members  string
	scopes   []string
	stop     chan struct{}

	mu       sync.Mutex
	lastUs   int64
	sequence int64
	locks    map[string]*registerLock
}

type registerLock struct {
	sync.Mutex
	users int
}

// Connect admits the nodes, and initialises a cluster where all of them are fresh. The scripts are those of the folder lua ("": Folder).
func Connect(ctx context.Context, urls []string, lua string) (*Coordinator, error) {
	if lua == "" {
		folder, err := Folder()
		if err != nil {
			return nil, err
		}
		lua = folder
	}
	scripts, contract, err := Load(lua)
	if err != nil {
		return nil, err
	}
	c := &Coordinator{majority: len(urls)/2 + 1, timeout: 5 * time.Second, id: random16(), stop: make(chan struct{}), locks: map[string]*registerLock{}}
	for _, url := range urls {
		n, err := newNode(url, scripts, contract)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	if err := c.begin(ctx); err != nil {
		c.Close()
		for _, n := range c.nodes {
			_ = n.client.Close()
		}
		return nil, err
	}
	return c, nil
}

func (c *Coordinator) begin(ctx context.Context) error {
	var there []*node
	refused := map[string]string{}
	var group sync.WaitGroup
	failures := make([]error, len(c.nodes))
	for i, n := range c.nodes {
		group.Add(1)
		go func() {
			defer group.Done()
			failures[i] = n.client.Ping(ctx).Err()
		}()
	}
	group.Wait()
	for i, n := range c.nodes {
		if failures[i] != nil {
			refused[n.name] = failures[i].Error()
		} else {
			there = append(there, n)
		}
	}
	cluster, err := c.formed(ctx, there, refused)
	if err != nil {
		return &CannotConnect{err.Error()}
	}
	c.cluster = cluster
	newest := c.newestOf(there)
	c.members = strings.Join(newest.memberIDs(), ",")
	if len(newest.memberIDs()) != len(c.nodes) {
		return &CannotConnect{fmt.Sprintf("the cluster has %d nodes and the list names %d; name each of them: %s", len(newest.memberIDs()), len(c.nodes), newest.members)}
	}
	for _, scope := range strings.Split(newest.scopes, ",") {
		if raw, err := hex.DecodeString(scope); err == nil {
			c.scopes = append(c.scopes, string(raw))
		}
	}
	if len(c.scopes) > 0 {
		c.scopes = c.scopes[:len(c.scopes)-1] // behind each scope is a comma
	}
	for _, n := range c.nodes {
		go n.attend(func() string { return cluster }, func() *look { return c.newestOf(c.nodes) }, c.stop)
	}
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, voters, err := c.voters()
		if err != nil {
			return err
		}
		waiting := false
		for _, n := range there {
			waiting = waiting || n.seat().why == "not connected yet"
		}
		if len(voters) >= c.majority && (!waiting || time.Now().After(end)) {
			return nil
		}
		if time.Now().After(end) {
			return &CannotConnect{fmt.Sprintf("fewer than %d nodes can vote: %s", c.majority, c.failures(nil))}
		}
	}
}

func (c *Coordinator) newestOf(nodes []*node) *look {
	var newest *look
	for _, n := range nodes {
		if of := n.seat().look; of != nil && of.cluster == c.cluster && (newest == nil || of.epoch > newest.epoch) {
			newest = of
		}
	}
	return newest
}

func (c *Coordinator) formed(ctx context.Context, there []*node, refused map[string]string) (string, error) {
	clusters, runs := map[string]bool{}, map[string]bool{}
	claimed, isEmpty := []*node{}, true
	for _, n := range there {
		runs[n.look.info["run_id"]] = true
		if n.look.role == "claimed" {
			claimed = append(claimed, n)
		} else if n.look.cluster != "" {
			clusters[n.look.cluster] = true
		}
	}
	if len(runs) < len(there) {
		return "", fmt.Errorf("two addresses lead to the same server; name each once")
	}
	if len(clusters) > 1 {
		return "", fmt.Errorf("the nodes belong to several clusters: %v", clusters)
	}
	for cluster := range clusters {
		for _, n := range there {
			isEmpty = isEmpty && n.look.keys <= 2 && n.look.cluster == cluster
		}
		if isEmpty && len(there) == len(c.nodes) {
			for _, n := range claimed { // whoever initialised them did not live to start them all
				if _, err := n.admitCall(ctx, n.client, "start", cluster, newFence(1)); err != nil {
					return "", err
				}
			}
		}
		return cluster, nil
	}
	if len(refused) > 0 {
		return "", fmt.Errorf("a new cluster starts only when all nodes answer and are empty; %v", refused)
	}
	for _, n := range there {
		if n.look.cluster == "" && n.look.keys > 0 {
			return "", fmt.Errorf("%s holds %d keys of somebody else; empty it", n.name, n.look.keys)
		}
	}
	cluster, err := form(ctx, there)
	if err == nil {
		for _, n := range there {
			reply, err := n.admitCall(ctx, n.client, "look")
			if err != nil {
				return "", err
			}
			n.look = lookOf(reply, n.look.info)
		}
	}
	return cluster, err
}

// Close gives up the connections.
func (c *Coordinator) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
}

// voters is the newest epoch among those that vote, and who votes under it: only their answers count together.
func (c *Coordinator) voters() (int64, []*node, error) {
	seats, epoch := make([]seat, len(c.nodes)), int64(0)
	for i, n := range c.nodes {
		if seats[i] = n.seat(); seats[i].votes {
			epoch = max(epoch, seats[i].epoch)
		}
	}
	var voters []*node
	for i, n := range c.nodes {
		if !seats[i].votes {
			continue
		}
		if seats[i].epoch/generation < epoch/generation {
			n.leave("it missed a generation")
		} else if seats[i].epoch == epoch {
			if strings.Join(seats[i].look.memberIDs(), ",") != c.members {
				return 0, nil, &NotApplied{Why: "the cluster has other members since: connect again with " + seats[i].look.members}
			}
			voters = append(voters, n)
		}
	}
	return epoch, voters, nil
}

func (c *Coordinator) failures(why map[*node]string) string {
	var all []string
	for _, n := range c.nodes {
		said := why[n]
		if said == "" {
			said = n.seat().why
		}
		if said != "" {
			all = append(all, n.name+": "+said)
		}
	}
	if len(all) == 0 {
		return "no round decided in time"
	}
	return strings.Join(all, "; ")
}

func (c *Coordinator) ballot() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastUs = max(nowUs(), c.lastUs+1)
	return fmt.Sprintf("%016d-%s", c.lastUs, c.id)
}

func (c *Coordinator) observe(ballot string) {
	us, _ := strconv.ParseInt(ballot[:16], 10, 64)
	c.observeUs(us)
}

func (c *Coordinator) observeUs(us int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastUs = max(c.lastUs, us)
}

// Execute runs one command and answers its reply: string, int64, nil or a list. Linearizable.
func (c *Coordinator) Execute(words ...any) (any, error) {
	made, err := planOf(words, nowUs()/1000, c.scopes)
	if err != nil {
		return nil, err
	}
	if made.random != "" {
		return c.executeRandom(made)
	}
	replies, _, err := c.run(made)
	if err != nil {
		return nil, err
	}
	return only(replies)
}

func only(replies []any) (any, error) {
	if failed, ok := replies[0].(redis.Error); ok {
		return nil, &CommandError{failed.Error()}
	}
	return replies[0], nil
}

func (c *Coordinator) run(made *plan) (replies []any, digest string, err error) {
	if made.isRead {
		return c.read(made)
	}
	return c.write(made)
}

// executeRandom: what a node would choose by itself is chosen by a read, and what was chosen is applied at the digest that was read.
func (c *Coordinator) executeRandom(made *plan) (any, error) {
	for end := time.Now().Add(c.timeout); time.Now().Before(end); {
		replies, digest, err := c.read(ofRegister(made.register, true, made.keys, append([]string{"SRANDMEMBER"}, made.original[1:]...)))
		if err != nil {
			return nil, err
		}
		reply, err := only(replies)
		if err != nil || made.random == "SRANDMEMBER" || reply == nil {
			return reply, err
		}
		chosen, isList := reply.([]any)
		if !isList {
			chosen = []any{reply}
		}
		if len(made.original) > 2 && strings.HasPrefix(made.original[2], "-") {
			return nil, refuse("value is out of range, must be positive")
		}
		if len(chosen) == 0 {
			return reply, nil
		}
		remove := ofRegister(made.register, false, made.keys, append([]string{"SREM", made.keys[0]}, texts(chosen)...))
		remove.expected = digest
		removed, _, err := c.write(remove)
		if err != nil {
			return nil, err
		}
		if removed != nil {
			return reply, nil
		}
	}
	return nil, &NotApplied{Why: "the key changes too fast"}
}

// write: one op of this coordinator is in flight per register; the others wait.
func (c *Coordinator) write(made *plan) ([]any, string, error) {
	c.mu.Lock()
	lock := c.locks[made.register]
	if lock == nil {
		lock = &registerLock{}
		c.locks[made.register] = lock
	}
	lock.users++
	c.mu.Unlock()
	lock.Lock()
	defer func() {
		lock.Unlock()
		c.mu.Lock()
		if lock.users--; lock.users == 0 {
			delete(c.locks, made.register)
		}
		c.mu.Unlock()
	}()
	return c.commit(made)
}

func encoded(commands [][]string) []string {
	args := []string{strconv.Itoa(len(commands))}
	for _, command := range commands {
		args = append(append(args, strconv.Itoa(len(command))), command...)
	}
	return args
}

// commit: rounds under one op id until one decides or the time is over (W3, W4).
func (c *Coordinator) commit(made *plan) ([]any, string, error) {
	c.mu.Lock()
	c.sequence++
	op := fmt.Sprintf("%s-%016x", c.id, c.sequence)
	c.mu.Unlock()
	state := &journey{op: op, generation: -1, why: map[*node]string{}}
	end := time.Now().Add(c.timeout)
	// By the time of day too: a machine that slept has a clock that stood still, and nodes that have forgotten the op.
	endsUs := nowUs() + c.timeout.Microseconds()
	var alone time.Time
	for rounds := 1; ; rounds++ {
		decided, err := c.round(made, state, end)
		if err != nil {
			return nil, "", err
		}
		if decided != nil {
			if decided.reply == nil {
				return nil, "", &ReplyLost{}
			}
			replies, _ := decided.reply.([]any) // MISMATCH is a text
			return replies, decided.digest, nil
		}
		_, voters, err := c.voters()
		if err != nil && !state.ran {
			return nil, "", err
		}
		if len(voters) >= c.majority {
			alone = time.Time{}
		} else if alone.IsZero() {
			alone = time.Now()
		}
		if time.Now().After(end) || nowUs() > endsUs || !alone.IsZero() && time.Since(alone) > time.Second {
			if state.ran {
				return nil, "", &Indeterminate{c.failures(state.why)}
			}
			return nil, "", &NotApplied{c.failures(state.why), !alone.IsZero()}
		}
		pause := min(500*time.Microsecond<<min(rounds, 8), 100*time.Millisecond)
		time.Sleep(time.Duration(rand.Int63n(int64(pause))))
	}
}

// journey is what survives from one round of an op to the next.
type journey struct {
	op         string
	keep, ran  bool
	generation int64
	why        map[*node]string
}

type decision struct {
	reply  any
	digest string
}

// settleDoubt: a register that nodes hold differently; a slow read of nothing completes or overrules what is there.
func (c *Coordinator) settleDoubt(register string) {
	time.Sleep(50 * time.Millisecond)
	_, _, _ = c.write(ofRegister(register, true, nil))
}

func (c *Coordinator) mend(g *goal, n *node) {
	if _, err := g.transfer(n, "0", -1); err == nil {
		return
	}
	// For anarcho-heal, which is told on every node that answers.
	mark := c.ballot()
	for _, other := range c.nodes {
		if fence := other.seat().fence; fence != "" {
			ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
			_, _ = other.admitCall(ctx, other.client, "mark", fence, g.register, mark)
			cancel()
		}
	}
}

func sortedByRank(acks map[*node][]any) []*node {
	var all []*node
	for n := range acks {
		all = append(all, n)
	}
	rank := func(n *node) (string, int64, string) {
		version, _ := strconv.ParseInt(text(acks[n], 3), 10, 64)
		return text(acks[n], 1), version, text(acks[n], 4)
	}
	sort.Slice(all, func(i, j int) bool {
		a1, v1, d1 := rank(all[i])
		a2, v2, d2 := rank(all[j])
		if a1 != a2 {
			return a1 > a2
		}
		if v1 != v2 {
			return v1 > v2
		}
		return d1 > d2
	})
	return all
}
