package anarcho

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	generation       = 1_000_000
	maxClockOffsetMs = 500
	usualPurgeAgeMs  = "3600000"
	answerTimeout    = 2 * time.Second
)

// away: why a node does not count. sent: whether a call may have run there.
type away struct {
	why  string
	sent bool
}

func (a *away) Error() string { return a.why }

func nowUs() int64 { return time.Now().UnixMicro() }

func random16() string {
	var bytes [8]byte
	_, _ = rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

func newFence(epoch int64) string { return fmt.Sprintf("%010d-%s", epoch, random16()) }

func shortHash(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}

func memberID(runID string) string { return shortHash("node\n" + runID) }

// look is what `admit look` answers, and INFO.
type look struct {
	cluster, node, role, runID, members, fence, scopes, flushed, purgeAge, contract string
	epoch, keys, nowUs                                                              int64
	info                                                                            map[string]string
}

func lookOf(reply []any, info map[string]string) *look {
	text := func(at int) string { return fmt.Sprint(reply[at]) }
	number := func(at int) int64 {
		value, _ := strconv.ParseInt(text(at), 10, 64)
		return value
	}
	return &look{cluster: text(1), node: text(2), epoch: number(3), role: text(4), runID: text(5), members: text(6), fence: text(7), keys: number(8),
		nowUs: number(9), scopes: text(10), flushed: text(11), purgeAge: text(12), contract: text(14), info: info}
}

func (l *look) memberIDs() []string {
	var ids []string
	for _, member := range strings.Split(l.members, ",") {
		if id, _, _ := strings.Cut(member, "@"); id != "" {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

func (l *look) names(id string) bool {
	return strings.Contains(","+strings.Join(l.memberIDs(), ",")+",", ","+id+",")
}

// node is a pool of connections to one server. Each is admitted before anything else is asked over it (OnConnect).
type node struct {
	name     string
	client   *redis.Client
	scripts  map[string]Script
	contract string
	slow     atomic.Bool

	admitting sync.Mutex // one admission at a time; `mu` is never held over a call

	mu       sync.Mutex
	cluster  string // what the others belong to; '' while that is not known
	newest   *look  // of the node in the newest generation
	look     *look
	fence    string // '' while it may not be asked
	epoch    int64
	votes    bool
	offsetMs int64
	why      string
}

func newNode(url string, scripts map[string]Script, contract string) (*node, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	self := &node{name: options.Addr, scripts: scripts, contract: contract, why: "not connected yet"}
	// Nothing is ever sent again by itself.
	options.MaxRetries, options.Protocol, options.PoolSize, options.DisableIdentity = -1, 2, 8, true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.ContextTimeoutEnabled = time.Second, answerTimeout, answerTimeout, true
	options.OnConnect = self.admit
	self.client = redis.NewClient(options)
	return self, nil
}

type doer interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

// Conn has no Do of its own.
type single struct{ conn *redis.Conn }

func (s single) Do(ctx context.Context, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	_ = s.conn.Process(ctx, cmd)
	return cmd
}

func (n *node) admitCall(ctx context.Context, over doer, args ...any) ([]any, error) {
	return over.Do(ctx, append([]any{"EVALSHA", n.scripts["admit"].Sha, 0}, args...)...).Slice()
}

// refusedAdmission: the connection was never used for anything else, so nothing that waited for it was sent.
type refusedAdmission struct{ why string }

func (r *refusedAdmission) Error() string { return r.why }

// admit looks at the server over a new connection and lets the node in, or says why not.
func (n *node) admit(ctx context.Context, conn *redis.Conn) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	n.mu.Lock()
	cluster, newest := n.cluster, n.newest
	n.mu.Unlock()
	found, offsetMs, err := n.open(ctx, single{conn})
	now := found
	if err == nil && cluster != "" {
		now, err = n.enter(ctx, single{conn}, found, cluster, newest)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.fence, n.votes, n.why = "", false, err.Error()
		return &refusedAdmission{err.Error()}
	}
	n.look, n.offsetMs = now, offsetMs
	if cluster == "" {
		return nil
	}
	n.fence, n.epoch, n.votes, n.why = now.fence, now.epoch, now.role == "voter", ""
	if !n.votes {
		n.why = "it is being filled from the others and does not vote yet"
	}
	return nil
}

func (n *node) open(ctx context.Context, over doer) (*look, int64, error) {
	for _, script := range n.scripts {
		if err := over.Do(ctx, "SCRIPT", "LOAD", script.Text).Err(); err != nil {
			return nil, 0, err
		}
	}
	text, err := over.Do(ctx, "INFO").Text()
	if err != nil {
		return nil, 0, err
	}
	info := map[string]string{}
	for _, line := range strings.Split(text, "\r\n") {
		if field, value, ok := strings.Cut(line, ":"); ok {
			info[field] = value
		}
	}
	if err := checkServer(info); err != nil {
		return nil, 0, err
	}
	before := nowUs()
	reply, err := n.admitCall(ctx, over, "look")
	after := nowUs()
	if err != nil {
		return nil, 0, err
	}
	found := lookOf(reply, info)
	offsetMs := int64(0)
	if found.nowUs > after {
		offsetMs = (found.nowUs - after) / 1000
	} else if found.nowUs < before {
		offsetMs = -((before - found.nowUs) / 1000)
	}
	if offsetMs > maxClockOffsetMs || offsetMs < -maxClockOffsetMs {
		return nil, 0, fmt.Errorf("its clock differs from this machine's by %d ms; run NTP on both", offsetMs)
	}
	if found.contract != "" && found.contract != n.contract {
		return nil, 0, fmt.Errorf("its cluster keeps contract %s of the scripts and this program keeps %s: use a version that keeps it", found.contract, n.contract)
	}
	return found, offsetMs, nil
}

func checkServer(info map[string]string) error {
	var major, minor int
	_, _ = fmt.Sscanf(info["redis_version"], "%d.%d", &major, &minor)
	switch {
	case major < 6 || major == 6 && minor < 2:
		return errors.New("its version is too old; Redis 6.2 is the oldest that works")
	case info["cluster_enabled"] == "1":
		return errors.New("it runs in Redis Cluster mode; set cluster-enabled no")
	case info["role"] != "master":
		return errors.New("it is a replica; nodes follow nobody: REPLICAOF NO ONE")
	case info["maxmemory_policy"] != "noeviction" && info["maxmemory_policy"] != "":
		return errors.New("its maxmemory-policy drops keys; set it to noeviction")
	}
	return nil
}

func (n *node) enter(ctx context.Context, over doer, found *look, cluster string, newest *look) (*look, error) {
	runID := found.info["run_id"]
	if found.cluster != cluster {
		if found.keys == 0 {
			return nil, errors.New("it lost its data: fill it with anarcho-heal")
		}
		return nil, errors.New("it belongs to another cluster, or holds other data")
	}
	var err error
	switch {
	case found.role == "claimed":
		_, err = n.admitCall(ctx, over, "demote", found.node, newFence(found.epoch), found.runID, found.fence)
	case found.role == "voter" && found.runID != runID && n.keepsEveryWrite(ctx, over, found):
		_, err = n.admitCall(ctx, over, "readmit", found.node, runID, newFence(found.epoch), found.runID)
	case found.role == "voter" && found.runID != runID:
		_, err = n.admitCall(ctx, over, "demote", found.node, newFence(found.epoch), found.runID, found.fence)
	}
	if err == nil && newest != nil && newest.epoch/generation > found.epoch/generation && newest.names(found.node) {
		// It missed a generation.
		first, to := newest.epoch/generation*generation, newest
		_, err = n.admitCall(ctx, over, "move", to.cluster, found.node, to.members, first, newFence(first), runID, to.flushed, to.scopes, to.purgeAge)
	}
	if err != nil {
		return nil, err
	}
	reply, err := n.admitCall(ctx, over, "look")
	if err != nil {
		return nil, err
	}
	now := lookOf(reply, found.info)
	if now.fence == "" || now.cluster != cluster || now.role == "voter" && now.runID != runID {
		return nil, errors.New("its admission changed meanwhile")
	}
	return now, nil
}

func (n *node) keepsEveryWrite(ctx context.Context, over doer, found *look) bool {
	is := func(name, wanted string) bool {
		reply, err := over.Do(ctx, "CONFIG", "GET", name).StringSlice()
		return err == nil && len(reply) == 2 && reply[1] == wanted
	}
	return found.info["aof_enabled"] == "1" && is("appendfsync", "always") && is("no-appendfsync-on-rewrite", "no")
}

// seat is what of a node a round goes by.
type seat struct {
	fence    string
	epoch    int64
	votes    bool
	offsetMs int64
	why      string
	look     *look
}

func (n *node) seat() seat {
	n.mu.Lock()
	defer n.mu.Unlock()
	return seat{n.fence, n.epoch, n.votes, n.offsetMs, n.why, n.look}
}

func (n *node) leave(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fence, n.votes, n.why = "", false, why
}

// call runs a script under the node's admission, if that is of this epoch (-1: whichever).
func (n *node) call(script string, keys, args []string, epoch int64, left time.Duration) ([]any, error) {
	for tries := 0; tries < 2; tries++ {
		now := n.seat()
		if now.fence == "" {
			return nil, &away{now.why, false}
		}
		if epoch >= 0 && epoch != now.epoch {
			return nil, &away{"its epoch is another one", false}
		}
		words := []any{"EVALSHA", n.scripts[script].Sha, len(keys)}
		for _, key := range keys {
			words = append(words, key)
		}
		words = append(words, now.fence, nowUs()/1000+left.Milliseconds()+now.offsetMs)
		for _, arg := range args {
			words = append(words, arg)
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		reply, err := n.client.Do(ctx, words...).Slice()
		cancel()
		var said redis.Error
		switch {
		case err == nil && fmt.Sprint(reply[0]) == "FENCED":
			n.readmit(now.fence)
			return nil, &away{"FENCED its admission changed", false}
		case err == nil:
			n.slow.Store(false)
			return reply, nil
		case errors.As(err, &said) && strings.HasPrefix(err.Error(), "NOSCRIPT"):
			for _, script := range n.scripts {
				_ = n.client.Do(context.Background(), "SCRIPT", "LOAD", script.Text).Err()
			}
			continue // nothing ran
		case errors.As(err, &said):
			return nil, &away{err.Error(), false}
		case wasNotSent(err):
			n.leave(err.Error())
			return nil, &away{err.Error(), false}
		default:
			// It may have run, and whatever answers next is admitted anew.
			n.leave(err.Error())
			return nil, &away{err.Error(), true}
		}
	}
	return nil, &away{"it forgets the scripts", false}
}

func wasNotSent(err error) bool {
	var dial *net.OpError
	var refused *refusedAdmission
	return errors.As(err, &refused) || errors.As(err, &dial) && dial.Op == "dial"
}

// readmit looks again after the fence that was named turned out to be an old one.
func (n *node) readmit(fence string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fence == fence {
		n.fence, n.votes, n.why = "", false, "its admission changed"
	}
}

// attend admits the node again whenever it has no fence.
func (n *node) attend(cluster func() string, newest func() *look, stop <-chan struct{}) {
	for {
		if n.seat().fence == "" && cluster() != "" {
			ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
			conn := n.client.Conn()
			to := newest()
			n.mu.Lock()
			n.cluster, n.newest = cluster(), to
			n.mu.Unlock()
			// Over one connection, whether it is a new one (then OnConnect has done it) or not.
			if err := conn.Ping(ctx).Err(); err != nil {
				n.leave(err.Error())
			} else if n.seat().fence == "" {
				_ = n.admit(ctx, conn)
			}
			_ = conn.Close()
			cancel()
		}
		select {
		case <-stop:
			_ = n.client.Close()
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// form initialises a new cluster where all nodes are fresh; answers the cluster's id. All ids follow from the servers' run ids.
func form(ctx context.Context, nodes []*node) (string, error) {
	in := append([]*node{}, nodes...)
	id := func(n *node) string { return memberID(n.look.info["run_id"]) }
	sort.Slice(in, func(i, j int) bool { return id(in[i]) < id(in[j]) })
	var members []string
	for _, n := range in {
		members = append(members, id(n))
	}
	cluster := shortHash("cluster\n" + strings.Join(members, "\n"))
	for _, n := range in {
		reply, err := n.admitCall(ctx, n.client, "claim", cluster, id(n), strings.Join(members, ","), n.look.info["run_id"], "", usualPurgeAgeMs)
		if err != nil || fmt.Sprint(reply[0]) != "OK" {
			return "", fmt.Errorf("%s cannot be claimed: %v %v", n.name, reply, err)
		}
	}
	for _, n := range in {
		if _, err := n.admitCall(ctx, n.client, "start", cluster, newFence(1)); err != nil {
			return "", err
		}
	}
	return cluster, nil
}
