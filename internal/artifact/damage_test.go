package artifact

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told collects the owners of damaged archives.
type told struct {
	mu     sync.Mutex
	owners []Owner
}

func (l *told) add(o Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners = append(l.owners, o)
}

func (l *told) take() []Owner {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.owners
	l.owners = nil
	return taken
}

// damaged serves an archive whose file is overwritten with what change makes of
// it.
func damaged(t *testing.T, change func([]byte) []byte) (s *Store, published Published, url string, heard *told) {
	t.Helper()
	heard = &told{}
	s = newStore(t, Options{OnDamage: heard.add, OnError: func(err error) { t.Log(err) }})
	later(s)
	published, file := publish(t, s, owner, layer(regular("a", incompressible(300_000))))
	url = start(t, s) + published.Path
	if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusOK {
		t.Fatalf("found %s", response.Status)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, published, url, heard
}

var changes = map[string]func([]byte) []byte{
	"a bit":        func(b []byte) []byte { return flipped(b, len(b)/2) },
	"the last bit": func(b []byte) []byte { return flipped(b, 1) },
	"cut":          func(b []byte) []byte { return b[:len(b)-1] },
	"longer":       func(b []byte) []byte { return append(b, 0) },
	"empty":        func([]byte) []byte { return nil },
}

// What is written to a file while the store is at work is noticed before a byte
// of it is sent; the file goes, and its owner is told of.
func TestServerNoticesWhatWasWritten(t *testing.T) {
	requests := map[string]struct {
		method string
		header http.Header
	}{
		"GET":  {"GET", nil},
		"HEAD": {"HEAD", nil},
		"part": {"GET", http.Header{"Range": {"bytes=0-9"}}},
		"held": {"GET", http.Header{"If-None-Match": {"*"}}},
	}
	for change, f := range changes {
		for request, r := range requests {
			t.Run(change+", "+request, func(t *testing.T) {
				s, published, url, heard := damaged(t, f)
				for range 2 {
					if response, _ := ask(t, r.method, url, r.header); response.StatusCode != http.StatusNotFound {
						t.Errorf("expected 404, found %s", response.Status)
					}
				}
				if diff := cmp.Diff([]Owner{owner}, heard.take()); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if left := leftOver(t, s); len(left) > 2 {
					t.Errorf("expected nothing left but folders, found %q", left)
				}
				if s.Holds(owner, published.Path, published.Digest) {
					t.Error("expected not to hold it")
				}
				publish(t, s, owner, layer(regular("a", incompressible(300_000))))
				if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusOK {
					t.Errorf("expected it again once it is published again, found %s", response.Status)
				}
			})
		}
	}
}

// believe makes the store take a file for whole as it is now: as one that a disk
// got wrong without anybody writing to it.
func believe(t *testing.T, s *Store, published Published) {
	t.Helper()
	f, err := s.openRegular(published.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole, err := s.checks.ask(published.Path, f, 0, func(io.Reader) (bool, error) { return true, nil })
	if err != nil || !whole {
		t.Fatal(whole, err)
	}
}

// What a disk gets wrong is noticed while it is sent, and never sent to its end.
func TestServerNoticesWhatTheDiskGotWrong(t *testing.T) {
	for _, change := range []string{"a bit", "the last bit"} {
		t.Run(change, func(t *testing.T) {
			s, published, url, heard := damaged(t, changes[change])
			believe(t, s, published)
			response, err := http.Get(url)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
				if int64(len(body)) >= published.Size {
					t.Errorf("found all of %d bytes", len(body))
				}
			}
			if err == nil {
				t.Error("expected a connection that breaks")
			}
			if diff := cmp.Diff([]Owner{owner}, heard.take()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusNotFound {
				t.Errorf("expected 404 from then on, found %s", response.Status)
			}
		})
	}
}

// A part cannot be judged by itself: the whole was read not long ago.
func TestServerReadsTheWholeBeforeAPart(t *testing.T) {
	s, published, url, _ := damaged(t, changes["a bit"])
	believe(t, s, published)
	s.checks.files[published.Path].at = s.checks.now().Add(-partAge)
	if response, _ := ask(t, "GET", url, http.Header{"Range": {"bytes=0-9"}}); response.StatusCode != http.StatusNotFound {
		t.Errorf("expected 404, found %s", response.Status)
	}
}

// Many who ask at once wait for one reading.
func TestServerReadsOnceForMany(t *testing.T) {
	s, _, url, heard := damaged(t, func(b []byte) []byte { return b })
	before := s.checks.reads
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if response, _ := ask(t, "HEAD", url, nil); response.StatusCode != http.StatusOK {
				t.Errorf("found %s", response.Status)
			}
		})
	}
	all.Wait()
	if reads := s.checks.reads - before; reads != 1 || len(heard.take()) > 0 {
		t.Errorf("expected one reading of what was written anew, found %d", reads)
	}
}

// A damaged archive whose owner is at work is refused, and stays until that is
// done: it may just be put in order.
func TestServerDoesNotWaitForTheOwner(t *testing.T) {
	s, published, url, heard := damaged(t, changes["a bit"])
	_, unlock := s.lock(owner)
	for range 2 {
		if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("expected 404, found %s", response.Status)
		}
	}
	if len(heard.take()) == 0 {
		t.Error("expected to be told")
	}
	unlock()
	if s.Holds(owner, published.Path, published.Digest) {
		t.Error("expected not to hold it")
	}
}

// stubborn is a disk from which nothing can be removed, as if it were read only.
type stubborn struct{ disk }

var errReadOnly = errors.New("read-only file system")

func (stubborn) Remove(string) error    { return errReadOnly }
func (stubborn) RemoveAll(string) error { return errReadOnly }

// Trust that is withdrawn takes effect also where the disk does not let the
// files go.
func TestWithdrawFromADiskThatKeepsThem(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	other, _ := publish(t, s, Owner{"modules", "other"}, layer(regular("a", "1")))
	base := start(t, s)
	real := s.root
	s.root = stubborn{real}
	wantStorageFailed(t, s.Withdraw(owner))

	refuses := func() {
		t.Helper()
		if response, _ := ask(t, "GET", base+published.Path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("expected 404, found %s", response.Status)
		}
		if response, _ := ask(t, "GET", base+other.Path, nil); response.StatusCode != http.StatusOK {
			t.Errorf("expected the other's to be served, found %s", response.Status)
		}
		if s.Holds(owner, published.Path, published.Digest) {
			t.Error("expected not to hold what is not served")
		}
	}
	refuses()
	v, signatures := verified(t)
	_, err := s.Publish(v, owner, layersOnDisk(t, layer(regular("a", "2"))), signatures)
	wantStorageFailed(t, err)
	if err := s.Collect(); err == nil {
		t.Error("expected Collect to say that it cannot")
	}
	refuses()

	s.root = real
	collect(t, s)
	wantArchives(t, s, "once the disk is well", other)
	again, _ := publish(t, s, owner, layer(regular("a", "1")))
	if response, _ := ask(t, "GET", base+again.Path, nil); response.StatusCode != http.StatusOK {
		t.Errorf("found %s", response.Status)
	}
}

// Publishing after a withdrawal that did not succeed makes up for it first.
func TestPublishFinishesTheWithdrawal(t *testing.T) {
	s := newStore(t, Options{})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	real := s.root
	s.root = stubborn{real}
	wantStorageFailed(t, s.Withdraw(owner))
	s.root = real
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	wantArchives(t, s, "the withdrawn one is gone", second)
	if s.Holds(owner, first.Path, first.Digest) {
		t.Error("expected not to hold what was withdrawn")
	}
}

// Somebody empties the volume.
func TestPublishOnAnEmptiedVolume(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	url := start(t, s) + published.Path
	for _, folder := range []string{tempFolder, archiveFolder} {
		if err := s.root.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
	if s.Holds(owner, published.Path, published.Digest) {
		t.Error("expected not to hold it")
	}
	if err := errors.Join(s.Collect(), s.Withdraw(Owner{"modules", "other"}), s.Sweep(func(Owner) bool { return true })); err != nil {
		t.Errorf("expected nothing to do, found %v", err)
	}
	publish(t, s, owner, layer(regular("a", "1")))
	if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusOK {
		t.Errorf("found %s", response.Status)
	}
}

// An old copy of the volume comes back: what status names counts, and the rest
// goes.
func TestOldCopyOfTheVolume(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Now: c.Now, Retention: 1})
	publish(t, s, owner, layer(regular("a", "1")))
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	for _, folder := range []string{tempFolder, archiveFolder} {
		if err := s.root.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(s.dir, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	if s.Holds(owner, second.Path, second.Digest) {
		t.Error("expected not to hold what is not there")
	}
	publish(t, s, owner, layer(regular("a", "2")))
	collect(t, s)
	c.advance(1)
	collect(t, s)
	wantArchives(t, s, "in the end", second)
}

// An answer that is not one whole archive passes as it is.
func TestServerSendsParts(t *testing.T) {
	_, _, url, heard := damaged(t, func(b []byte) []byte { return b })
	_, whole := ask(t, "GET", url, nil)
	response, body := ask(t, "GET", url, http.Header{"Range": {"bytes=0-0,5-6"}})
	if response.StatusCode != http.StatusPartialContent || !bytes.Contains(body, whole[5:7]) || len(heard.take()) > 0 {
		t.Errorf("found %s", response.Status)
	}
}
