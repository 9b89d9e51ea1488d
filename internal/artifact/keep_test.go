package artifact

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is in place and served is served, with its signatures or without.
func TestServes(t *testing.T) {
	zero := "sha256:" + strings.Repeat("0", 64)
	tests := map[string]struct {
		owner        Owner
		path, digest string // "" for what was published
		prepare      func(t *testing.T, s *Store, archive string)
		want         bool
	}{
		"what was published": {want: true},
		"signatures are lost": {want: true, prepare: func(t *testing.T, _ *Store, archive string) {
			if err := os.Remove(strings.TrimSuffix(archive, archiveSuffix) + signaturesSuffix); err != nil {
				t.Fatal(err)
			}
		}},
		"the archive is lost": {prepare: func(t *testing.T, _ *Store, archive string) {
			if err := os.Remove(archive); err != nil {
				t.Fatal(err)
			}
		}},
		"the archive is damaged": {prepare: func(t *testing.T, _ *Store, archive string) {
			if err := os.WriteFile(archive, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"withdrawn, and the disk keeps it": {prepare: func(t *testing.T, s *Store, _ string) {
			s.root = stubborn{s.root}
			wantStorageFailed(t, s.Withdraw(owner))
		}},
		"another owner":  {owner: Owner{"modules", "other"}},
		"another digest": {digest: zero},
		"another path":   {path: owner.archive(strings.Repeat("0", 64))},
		"no digest":      {digest: "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			published, archive := publish(t, s, owner, layer(regular("a", "1")))
			of, path, digest := owner, published.Path, published.Digest
			if tt.owner != (Owner{}) {
				of = tt.owner
			}
			if tt.path != "" {
				path = tt.path
			}
			if tt.digest != "" {
				digest = tt.digest
			}
			if tt.prepare != nil {
				tt.prepare(t, s, archive)
			}
			if got := s.Serves(of, path, digest); got != tt.want {
				t.Errorf("expected %t, found %t", tt.want, got)
			}
		})
	}
}

// Whoever may have something has something.
func TestHas(t *testing.T) {
	s := newStore(t, Options{})
	if s.Has(owner) || s.Has(Owner{"../modules", "app"}) {
		t.Error("expected nothing before anything was published")
	}
	publish(t, s, owner, layer(regular("a", "1")))
	if !s.Has(owner) || s.Has(Owner{"modules", "other"}) {
		t.Error("expected the owner alone to have something")
	}
	real := s.root
	s.root = stubborn{real}
	wantStorageFailed(t, s.Withdraw(owner))
	s.root = real
	if err := s.root.RemoveAll(owner.folder()); err != nil {
		t.Fatal(err)
	}
	if !s.Has(owner) {
		t.Error("expected something to be under way to be withdrawn")
	}
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	if s.Has(owner) {
		t.Error("expected nothing once it is withdrawn")
	}
}

// What was superseded goes at once, and what is kept is served on.
func TestKeepOnly(t *testing.T) {
	s := newStore(t, Options{})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	other, _ := publish(t, s, Owner{"modules", "other"}, layer(regular("a", "1")))
	for _, unknown := range []string{"", "x", strings.TrimPrefix(second.Digest, "sha256:")} {
		if err := s.KeepOnly(owner, unknown); err != nil {
			t.Errorf("%q: expected nothing to be done, found %v", unknown, err)
		}
	}
	wantArchives(t, s, "nothing is named to be kept", first, second, other)
	if err := s.KeepOnly(Owner{"..", "modules"}, second.Digest); err == nil {
		t.Error("expected an owner that cannot be to be refused")
	}
	real := s.root
	s.root = stubborn{real}
	wantStorageFailed(t, s.KeepOnly(owner, second.Digest))
	s.root = real
	if err := s.KeepOnly(owner, second.Digest); err != nil {
		t.Fatal(err)
	}
	wantArchives(t, s, "one is kept", second, other)
	if !s.Holds(owner, second.Path, second.Digest) || s.Serves(owner, first.Path, first.Digest) {
		t.Error("expected the one that is kept to be served, and no other")
	}
	if _, err := os.Stat(filepath.Join(s.dir, filepath.FromSlash(other.Path))); err != nil {
		t.Error(err)
	}
}

// archivesStay is a disk that does not let archives go, and all else.
type archivesStay struct{ disk }

func (d archivesStay) Remove(name string) error {
	if strings.HasSuffix(name, archiveSuffix) {
		return errReadOnly
	}
	return d.disk.Remove(name)
}

// No archive is ever without its signatures, should what removes both end on the
// way: they go after all archives are gone.
func TestWithdrawArchivesFirst(t *testing.T) {
	s := newStore(t, Options{})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	second, _ := publish(t, s, owner, layer(regular("a", "2")))
	s.root = archivesStay{s.root}
	wantStorageFailed(t, s.Withdraw(owner))
	wantArchives(t, s, "the archives stay", first, second)
}

// Of files that are gone nothing is remembered.
func TestWithdrawForgetsWhatWasRead(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	if !s.Holds(owner, published.Path, published.Digest) || len(s.checks.files) == 0 {
		t.Fatal("expected its files to be read")
	}
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	if n := len(s.checks.files); n != 0 {
		t.Errorf("expected nothing to be remembered, found %d files", n)
	}
}

// A file is read once more until its last change is two seconds old, and not then.
func TestSealSettles(t *testing.T) {
	s := newStore(t, Options{})
	_, archive := publish(t, s, owner, layer(regular("a", "1")))
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	found, sealed := sealOf(info)
	if !sealed {
		t.Skip("the file system tells too little")
	}
	before := s.checks.reads
	for i, age := range []time.Duration{0, settling - 1, settling, settling + 1} {
		s.checks.now = func() time.Time { return found.changed.Add(age) }
		if _, err := s.checks.ask("x", f, 0, func(io.Reader) (bool, error) { return true, nil }); err != nil {
			t.Fatal(err)
		}
		if reads, want := s.checks.reads-before, min(i+1, 3); reads != want {
			t.Errorf("%s after its change: expected to be read %d times in all, found %d", age, want, reads)
		}
	}
}
