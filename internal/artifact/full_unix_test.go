//go:build unix

package artifact

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// onFullDisk runs the test in a process of its own, in which fill makes every
// write to a file beyond its first room bytes fail from then on, as on a disk
// that is full; folders, renames and removals go on. The testing package writes files too, which is
// why it cannot be this process.
func onFullDisk(t *testing.T, test func(fill func(room uint64))) {
	t.Helper()
	const inside = "ASSAY_TEST_FULL_DISK"
	if os.Getenv(inside) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), inside+"=yes")
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	test(func(room uint64) {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: room}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewStoreFindsAFullDisk(t *testing.T) {
	onFullDisk(t, func(fill func(room uint64)) {
		root := t.TempDir()
		fill(0)
		_, err := NewStore(Options{Root: root})
		wantStorageFailed(t, err)
	})
}

func TestPublishOnAFullDisk(t *testing.T) {
	onFullDisk(t, func(fill func(room uint64)) {
		s := newStore(t, Options{})
		v, signatures := verified(t)
		before, _ := publish(t, s, owner, layer(regular("a", "1")))
		small := layersOnDisk(t, layer(regular("a", "2")))
		large := layersOnDisk(t, layer(regular("a", incompressible(1<<20))))
		fill(0)
		for _, layers := range [][]Layer{small, large} {
			_, err := s.Publish(v, owner, layers, signatures)
			wantStorageFailed(t, err)
			wantArchives(t, s, "what was there before", before)
		}
		if err := s.Collect(); err != nil || !s.Holds(owner, before.Path, before.Digest) {
			t.Errorf("expected to hold what was there before, found %v", err)
		}
	})
}

// There is room for the spool, but not for the archive, which is larger.
func TestPublishOnADiskThatFillsUp(t *testing.T) {
	onFullDisk(t, func(fill func(room uint64)) {
		s := newStore(t, Options{})
		v, signatures := verified(t)
		layers := layersOnDisk(t, layer(regular("a", incompressible(1<<20))))
		fill(1 << 20)
		_, err := s.Publish(v, owner, layers, signatures)
		wantStorageFailed(t, err)
		if left := leftOver(t, s); len(left) > 0 {
			t.Errorf("found %q", left)
		}
	})
}

// Trust is withdrawn on a full disk as on any other.
func TestWithdrawOnAFullDisk(t *testing.T) {
	onFullDisk(t, func(fill func(room uint64)) {
		s := newStore(t, Options{})
		publish(t, s, owner, layer(regular("a", "1")))
		fill(0)
		if err := s.Withdraw(owner); err != nil {
			t.Fatal(err)
		}
		if left := leftOver(t, s); len(left) > 0 {
			t.Errorf("found %q", left)
		}
	})
}
