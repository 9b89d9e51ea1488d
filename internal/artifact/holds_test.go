package artifact

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHolds(t *testing.T) {
	zero := strings.Repeat("0", 64)
	cases := map[string]struct {
		owner        Owner
		path, digest func(p Published) string
		want         bool
	}{
		"what was published": {want: true},
		"another owner":      {owner: Owner{Namespace: "modules", Name: "other"}},
		"another digest":     {digest: func(Published) string { return "sha256:" + zero }},
		"another path":       {path: func(p Published) string { return owner.archive(zero) }},
		"another archive": {
			digest: func(Published) string { return "sha256:" + zero },
			path:   func(Published) string { return owner.archive(zero) },
		},
		"a path from the root":     {path: func(p Published) string { return "/" + p.Path }},
		"a path that is not clean": {path: func(p Published) string { return "./" + p.Path }},
		"no path":                  {path: func(Published) string { return "" }},
		"no digest":                {digest: func(Published) string { return "" }},
		"a digest without a name":  {digest: func(p Published) string { return strings.TrimPrefix(p.Digest, "sha256:") }},
		"its signatures": {
			path: func(p Published) string { return strings.Replace(p.Path, archiveSuffix, signaturesSuffix, 1) },
		},
	}
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o, p, d := owner, published.Path, published.Digest
			if c.owner != (Owner{}) {
				o = c.owner
			}
			if c.path != nil {
				p = c.path(published)
			}
			if c.digest != nil {
				d = c.digest(published)
			}
			for _, store := range []*Store{s, newStore(t, Options{Root: s.dir})} {
				if got := store.Holds(o, p, d); got != c.want {
					t.Errorf("expected %v, found %v", c.want, got)
				}
			}
		})
	}
}

func TestHoldsFindsWhatTheDiskLost(t *testing.T) {
	flip := func(t *testing.T, file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, flipped(data, len(data)/2), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(t *testing.T, file string) {
		if err := os.Truncate(file, 100); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, file string) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, file string) {
		if err := os.Rename(file, file+".moved"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Base(file)+".moved", file); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		suffix  string
		damage  func(t *testing.T, file string)
		restart bool
		gone    bool // the archive is removed, so that nobody serves it
	}{
		"a bit of the archive":                       {archiveSuffix, flip, false, true},
		"a bit of the archive, after a restart":      {archiveSuffix, flip, true, true},
		"a bit of the signatures":                    {signaturesSuffix, flip, false, false},
		"the end of the signatures":                  {signaturesSuffix, cut, false, false},
		"the end of the archive":                     {archiveSuffix, cut, false, true},
		"the end of the archive, after a restart":    {archiveSuffix, cut, true, true},
		"the archive":                                {archiveSuffix, remove, false, true},
		"the archive, after a restart":               {archiveSuffix, remove, true, true},
		"the archive for a link":                     {archiveSuffix, link, false, false},
		"the archive for a link, after a restart":    {archiveSuffix, link, true, false},
		"the signatures":                             {signaturesSuffix, remove, false, false},
		"the signatures, after a restart":            {signaturesSuffix, remove, true, false},
		"the end of the signatures, after a restart": {signaturesSuffix, cut, true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{OnError: func(err error) { t.Log(err) }})
			published, file := publish(t, s, owner, layer(regular("a", "1")))
			if !s.Holds(owner, published.Path, published.Digest) {
				t.Fatal("expected to hold what was published")
			}
			c.damage(t, strings.TrimSuffix(file, archiveSuffix)+c.suffix)
			if c.restart {
				s = newStore(t, Options{Root: s.dir, OnError: func(err error) { t.Log(err) }})
			}
			for range 2 {
				if s.Holds(owner, published.Path, published.Digest) {
					t.Error("expected not to hold it")
				}
			}
			if _, err := os.Lstat(file); (err != nil) != c.gone {
				t.Errorf("expected the archive removed: %v, found %v", c.gone, err)
			}
			publish(t, s, owner, layer(regular("a", "1")))
			if !s.Holds(owner, published.Path, published.Digest) {
				t.Error("expected to hold it once it is published again")
			}
		})
	}
}

// What was gone for a while is not what was checked.
func TestHoldsChecksAgainWhatCameBack(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", "1")))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"the same": true, "another of that size": false} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if s.Holds(owner, published.Path, published.Digest) {
			t.Error("expected not to hold it while it is gone")
		}
		back := data
		if !want {
			back = flipped(data, 20)
		}
		if err := os.WriteFile(file, back, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.Holds(owner, published.Path, published.Digest); got != want {
			t.Errorf("%s: expected %v, found %v", name, want, got)
		}
		publish(t, s, owner, layer(regular("a", "1")))
	}
}

// It is asked at every poll: the archive is read once a process, and when the
// file system says that it changed.
func TestHoldsReadsWhatChanged(t *testing.T) {
	s := newStore(t, Options{})
	later(s)
	published, file := publish(t, s, owner, layer(regular("a", "1")))
	holds := func(want bool, reads int) {
		t.Helper()
		before := s.checks.reads
		if got := s.Holds(owner, published.Path, published.Digest); got != want {
			t.Errorf("expected %v, found %v", want, got)
		}
		if got := s.checks.reads - before; got != reads {
			t.Errorf("expected %d files read, found %d", reads, got)
		}
	}
	holds(true, 2)
	holds(true, 0)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(true, 1)
	holds(true, 0)
	// With the times of before.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, flipped(data, 20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	holds(false, 1)
	holds(false, 0)
}

// later moves the store's clock to when files that were just written have
// settled.
func later(s *Store) {
	s.checks.now = func() time.Time { return time.Now().Add(time.Hour) }
}

// What was written a moment ago may be written again in the same tick.
func TestHoldsReadsAgainWhatIsNotSettled(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	s.checks.now = time.Now().Add(-time.Second).Local
	for range 3 {
		if !s.Holds(owner, published.Path, published.Digest) {
			t.Error("expected to hold it")
		}
	}
	if s.checks.reads != 6 {
		t.Errorf("expected both files read each time, found %d", s.checks.reads)
	}
}
