package artifact

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWithdraw(t *testing.T) {
	s := newStore(t, Options{Retention: time.Hour})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	neighbour, _ := publish(t, s, Owner{owner.Namespace, owner.Name + "-2"}, layer(regular("a", "1")))
	plant(t, s, owner.folder()+"/folder/stray", "x")
	for range 2 { // The second time there is nothing.
		if err := s.Withdraw(owner); err != nil {
			t.Fatal(err)
		}
		wantArchives(t, s, "withdrawn", neighbour)
		if _, err := os.Stat(filepath.Join(s.dir, owner.folder())); err == nil {
			t.Error("expected the owner's folder to be gone")
		}
	}
	for _, p := range []Published{first, second} {
		if s.Holds(owner, p.Path, p.Digest) {
			t.Error("expected not to hold it")
		}
		if got, err := s.Signatures(owner, p.Digest); err == nil {
			t.Errorf("found signatures: %v", got)
		}
	}
	// And it can come back.
	again, _ := publish(t, s, owner, layer(regular("a", "1")))
	wantArchives(t, s, "published again", again, neighbour)
}

func TestSweep(t *testing.T) {
	s := newStore(t, Options{})
	kept, _ := publish(t, s, owner, layer(regular("a", "1")))
	publish(t, s, Owner{owner.Namespace, "gone"}, layer(regular("a", "1")))
	publish(t, s, Owner{"gone", "gone"}, layer(regular("a", "1")))
	plant(t, s, archiveFolder+"/file", "x")
	plant(t, s, archiveFolder+"/Upper/x/y", "x")
	plant(t, s, archiveFolder+"/"+owner.Namespace+"/file", "x")
	plant(t, s, archiveFolder+"/"+owner.Namespace+"/Upper/x", "x")
	if err := os.Mkdir(filepath.Join(s.dir, archiveFolder, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	var asked []Owner
	keep := func(o Owner) bool {
		asked = append(asked, o)
		return o == owner
	}
	if err := s.Sweep(keep); err != nil {
		t.Fatal(err)
	}
	wantArchives(t, s, "swept", kept)
	if diff := cmp.Diff([]string{"modulesource/modules", "modulesource/modules/podinfo"}, leftOver(t, s)[:2]); diff != "" || len(leftOver(t, s)) != 4 {
		t.Errorf("on disk: %q", leftOver(t, s))
	}
	slices.SortFunc(asked, func(a, b Owner) int { return strings.Compare(a.String(), b.String()) })
	if diff := cmp.Diff([]Owner{{"gone", "gone"}, {"modules", "gone"}, owner}, asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
	if !s.Holds(owner, kept.Path, kept.Digest) {
		t.Error("expected to hold what was kept")
	}
}

func TestWithdrawLeavesNoFolders(t *testing.T) {
	s := newStore(t, Options{})
	publish(t, s, owner, layer(regular("a", "1")))
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	if left := leftOver(t, s); len(left) > 0 {
		t.Errorf("found %q", left)
	}
}

// An object that is made while the sweep is under way keeps what is published
// for it: keep is asked under the owner's lock, so that either it knows the
// object, or Publish comes after the removal.
func TestSweepAsksUnderTheLock(t *testing.T) {
	s := newStore(t, Options{})
	publish(t, s, owner, layer(regular("a", "1")))
	if err := s.Sweep(func(o Owner) bool {
		if own, unlock := s.tryLock(o); own != nil {
			unlock()
			t.Error("Publish could come between the question and the removal")
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	wantArchives(t, s, "swept")
}

// Owners of one namespace come and go, and the folder above them with them.
func TestNamespacesComeAndGo(t *testing.T) {
	s := newStore(t, Options{})
	v, signatures := verified(t)
	layers := layersOnDisk(t, layer(regular("a", "1")))
	var group sync.WaitGroup
	for n := range 4 {
		o := Owner{owner.Namespace, fmt.Sprintf("m%d", n)}
		group.Go(func() {
			for range 50 {
				_, err := s.Publish(v, o, layers, signatures)
				if err := errors.Join(err, s.Withdraw(o)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
