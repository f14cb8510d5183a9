package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	killDir  = "GATEWAYD_STORE_KILL_DIR" // set for the child
	killKeys = 20
)

// TestKilledChild is not a test but the process that gets killed: it counts in
// states and documents, and prints what has been acknowledged.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("only runs as the child of TestAKilledProcessLosesNothing")
	}
	s, err := Open(dir, Options{JournalSize: 4 * minJournalSize})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	start, err := counts(s)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for n := uint64(1); ; n++ {
		for k := range uint64(killKeys) {
			v := order.AppendUint64(nil, start[k]+n)
			put := k == 0 // key 0 counts in a document
			if put {
				err = s.Put("counts", []byte("0"), v)
			} else {
				err = s.Append(key(k), v)
			}
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println("ack", k, start[k]+n) // one write, not buffered
		}
	}
}

// counts of a store, document and states.
func counts(s *Store) (c [killKeys]uint64, err error) {
	v, err := s.Get("counts", []byte("0"))
	if v != nil {
		c[0] = order.Uint64(v)
	}
	return c, errors.Join(err, s.EachState(func(k [8]byte, v []byte) error {
		c[order.Uint64(k[:])] = order.Uint64(v)
		return nil
	}))
}

// 50 times a process is killed (SIGKILL) after a random number of
// acknowledgements while it goes on counting, which may be before the first
// one: during Open.
func TestAKilledProcessLosesNothing(t *testing.T) {
	const kills = 50
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(9, 9))
	var acked [killKeys]uint64
	for i := range kills {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$") //nolint:gosec // this test binary
		child.Env = append(os.Environ(), killDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		acks := rng.IntN(1000)
		if i == 0 {
			acks = 1 // at least, so that it has the lock
		}
		readAcks(t, lines, acks, &acked)
		if i == 0 {
			err := refused(t, dir, Options{LockTimeout: 1})
			says(t, err, fmt.Sprintf("pid %d", child.Process.Pid))
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		readAcks(t, lines, -1, &acked)
		_ = child.Wait() // killed
		checkCounts(t, dir, acked)
	}
}

// readAcks reads a number of acknowledgements, or all.
func readAcks(t *testing.T, lines *bufio.Reader, n int, acked *[killKeys]uint64) {
	t.Helper()
	for ; n != 0; n-- {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && n < 0 {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var k, count uint64
		if _, err := fmt.Sscanf(line, "ack %d %d", &k, &count); err != nil {
			t.Fatalf("the child says: %s", strings.TrimSpace(line))
		}
		acked[k] = count
	}
}

// checkCounts opens the store: each count is what was acknowledged, or one
// more, on its way when the process was killed.
func checkCounts(t *testing.T, dir string, acked [killKeys]uint64) {
	t.Helper()
	s, err := Open(dir, Options{JournalSize: 4 * minJournalSize})
	if err != nil {
		t.Fatal(err)
	}
	got, err := counts(s)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	ahead := 0
	for k := range acked {
		if got[k] == acked[k]+1 {
			ahead++
		} else if got[k] != acked[k] {
			t.Fatalf("key %d: %d was acknowledged, %d is there", k, acked[k], got[k])
		}
	}
	if ahead > 1 {
		t.Fatalf("%d keys are ahead, the process does one thing at a time", ahead)
	}
}
