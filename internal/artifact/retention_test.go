package artifact

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is set by hand.
type clock struct{ now time.Time }

func newClock() *clock                   { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }
func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func collect(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Collect(); err != nil {
		t.Error(err)
	}
}

// wantArchives compares the archives on disk, each of which must have its
// signatures.
func wantArchives(t *testing.T, s *Store, when string, want ...Published) {
	t.Helper()
	var names []string
	for _, p := range want {
		names = append(names, p.Path, strings.TrimSuffix(p.Path, archiveSuffix)+signaturesSuffix)
	}
	slices.Sort(names)
	var found []string
	for _, name := range leftOver(t, s) {
		if info, err := os.Lstat(filepath.Join(s.dir, name)); err != nil || !info.IsDir() {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(names, found); diff != "" {
		t.Errorf("%s: on disk (-want +got):\n%s", when, diff)
	}
}

func TestCollectWaitsForTheRetention(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	other, _ := publish(t, s, Owner{"modules", "other"}, layer(regular("a", "1")))
	c.advance(time.Hour)
	collect(t, s)
	wantArchives(t, s, "the current one, however old", first, other)

	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	c.advance(time.Minute - 1)
	collect(t, s)
	wantArchives(t, s, "just before the retention has passed", first, second, other)
	c.advance(1)
	if !s.Holds(owner, first.Path, first.Digest) {
		t.Error("expected to hold it until then")
	}
	collect(t, s)
	wantArchives(t, s, "once it has", second, other)
	if known := s.checks.files[first.Path]; known != nil {
		t.Errorf("expected to forget what was collected, found %v", known)
	}
	if s.Holds(owner, first.Path, first.Digest) {
		t.Error("expected not to hold what was collected")
	}
}

func TestCollectCountsFromTheFirstSuperseding(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	c.advance(40 * time.Second)
	third, _ := publish(t, s, owner, layer(regular("a", "3")))
	wantArchives(t, s, "published", first, second, third)
	c.advance(20 * time.Second)
	collect(t, s)
	wantArchives(t, s, "a minute after the second", second, third)
	c.advance(40 * time.Second)
	collect(t, s)
	wantArchives(t, s, "a minute after the third", third)
}

func TestPublishTakesASupersededArchiveBack(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	publish(t, s, owner, layer(regular("a", "2")))
	c.advance(30 * time.Second)
	publish(t, s, owner, layer(regular("a", "1")))
	c.advance(time.Hour)
	collect(t, s)
	wantArchives(t, s, "rolled back", first)
}

func TestAdopt(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	c.advance(time.Hour)

	cases := map[string]struct {
		adopt                Published
		adopted, soon, later []Published
	}{
		// The retention goes on where it was.
		"the current one": {second, []Published{first, second}, []Published{second}, []Published{second}},
		// The patch of status failed after publishing, or another process withdrew
		// the second and went back to the first.
		"a superseded one": {first, []Published{first}, []Published{first}, []Published{first}},
		// Another process published it, after it withdrew the second perhaps.
		"one that is not there": {
			Published{Digest: "sha256:" + strings.Repeat("0", 64)}, []Published{first}, nil, nil,
		},
		"no digest": {Published{}, []Published{first, second}, []Published{first, second}, []Published{first, second}},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			c := &clock{c.now}
			root := t.TempDir()
			if err := os.CopyFS(root, os.DirFS(s.dir)); err != nil {
				t.Fatal(err)
			}
			copyTimes(t, s.dir, root, first.Path, second.Path)
			restarted := newStore(t, Options{Root: root, Retention: time.Minute, Now: c.Now})
			for _, p := range []Published{first, second} {
				if !restarted.Holds(owner, p.Path, p.Digest) {
					t.Errorf("expected to hold %s", p.Path)
				}
			}
			collect(t, restarted)
			wantArchives(t, restarted, "nobody's current archive is known", first, second)
			restarted.Adopt(owner, k.adopt.Digest)
			wantArchives(t, restarted, "adopted", k.adopted...)
			collect(t, restarted)
			wantArchives(t, restarted, "collected", k.soon...)
			restarted.Adopt(owner, k.adopt.Digest) // Again changes nothing.
			c.advance(time.Minute)
			collect(t, restarted)
			wantArchives(t, restarted, "collected later", k.later...)
		})
	}
}

// What another process replaced is not served where the disk does not let it go
// either, nor is anything of that owner's, until it does.
func TestAdoptOnADiskThatKeepsThem(t *testing.T) {
	s := newStore(t, Options{})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	var told error
	restarted := newStore(t, Options{Root: s.dir, OnError: func(err error) { told = err }})
	base := start(t, restarted)
	real := restarted.root
	restarted.root = stubborn{real}
	restarted.Adopt(owner, first.Digest)
	wantStorageFailed(t, told)
	for _, p := range []Published{first, second} {
		if response, _ := ask(t, "GET", base+p.Path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("expected 404, found %s", response.Status)
		}
	}
	restarted.root = real
	collect(t, restarted)
	wantArchives(t, restarted, "once the disk is well")
}

// The retention begins when Adopt is called, and not when Collect is next.
func TestAdoptSupersedes(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	publish(t, s, owner, layer(regular("a", "2")))
	s.Adopt(owner, first.Digest)
	c.advance(time.Minute)
	collect(t, s)
	wantArchives(t, s, "a minute later", first)
}

func copyTimes(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(to, name), time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCollectWhenTheClockIsSetBack(t *testing.T) {
	c := newClock()
	s := newStore(t, Options{Retention: time.Minute, Now: c.Now})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	c.advance(-24 * time.Hour)
	collect(t, s)
	wantArchives(t, s, "a day before", first, second)
	c.advance(time.Minute)
	collect(t, s)
	wantArchives(t, s, "a minute later", second)
}

func TestCollectRemovesStrays(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	zero := strings.Repeat("0", 64)
	plant(t, s, owner.signatures(zero), "without an archive")
	plant(t, s, owner.folder()+"/notes.txt", "x")
	plant(t, s, owner.folder()+"/"+zero+".tar.gz.part", "x")
	plant(t, s, published.Path+".part", "x")
	plant(t, s, owner.archive(zero)+"/folder", "x")
	collect(t, s)
	wantArchives(t, s, "collected", published)
}

// One owner's trouble is not another's.
func TestCollectGoesOn(t *testing.T) {
	s := newStore(t, Options{})
	owners := []Owner{{"a", "a"}, {"b", "b"}, {"c", "c"}}
	for _, o := range owners {
		publish(t, s, o, layer(regular("a", "1")))
		publish(t, s, o, layer(regular("a", "2")))
	}
	if err := os.RemoveAll(filepath.Join(s.dir, owners[1].folder())); err != nil {
		t.Fatal(err)
	}
	plant(t, s, owners[1].folder(), "a file where the folder was")
	var typed *Error
	if err := s.Collect(); !errors.As(err, &typed) || typed.Reason != ReasonStorageFailed {
		t.Errorf("expected %s, found %v", ReasonStorageFailed, err)
	}
	for _, o := range []Owner{owners[0], owners[2]} {
		if names, err := s.names(o.folder()); err != nil || len(names) != 2 {
			t.Errorf("%s: expected an archive and its signatures, found %q, %v", o, names, err)
		}
	}
}

// What cannot be reported to a caller reaches OnError, and does not end Run.
func TestRunReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reported := make(chan error, 10)
		s := newStore(t, Options{OnError: func(err error) { reported <- err }})
		publish(t, s, owner, layer(regular("a", "1")))
		if err := os.RemoveAll(filepath.Join(s.dir, owner.folder())); err != nil {
			t.Fatal(err)
		}
		plant(t, s, owner.folder(), "a file where the folder was")
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- s.Run(ctx) }()
		for range 2 {
			if err := <-reported; err == nil || strings.Contains(err.Error(), s.dir) {
				t.Errorf("found %v", err)
			}
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestRunCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{Retention: time.Minute})
		first, _ := publish(t, s, owner, layer(regular("a", "1")))
		second, _ := publish(t, s, owner, layer(regular("a", "2")))
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- s.Run(ctx) }()

		time.Sleep(time.Minute - 1) // In the bubble's time.
		synctest.Wait()
		wantArchives(t, s, "before", first, second)
		time.Sleep(collectInterval)
		synctest.Wait()
		wantArchives(t, s, "after", second)
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
