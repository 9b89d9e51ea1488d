package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

func TestPublishRefusesTheZeroVerified(t *testing.T) {
	s := newStore(t, Options{})
	_, signatures := verified(t)
	// All the rest is in order, or all of it is wrong: it does not matter.
	for _, layers := range [][]Layer{layersOnDisk(t, layer(regular("a", "1"))), {{Path: "not there"}}} {
		_, err := s.Publish(verify.Verified{}, owner, layers, signatures)
		var typed *Error
		if !errors.As(err, &typed) || typed.Reason != ReasonArtifactInvalid || !strings.Contains(err.Error(), "verified") {
			t.Errorf("expected a refusal for want of a verdict, found %v", err)
		}
	}
	if left := leftOver(t, s); len(left) > 0 {
		t.Errorf("found %q", left)
	}
}

func TestPublishRefusesSignatures(t *testing.T) {
	big := make([]byte, maxKeptBytes/4*3+1)
	cases := map[string]struct {
		signatures []verify.Signature
		reason     Reason
	}{
		"none":                     {nil, ReasonArtifactInvalid},
		"too large":                {[]verify.Signature{{Payload: make([]byte, maxKeptBytes+1)}}, ReasonArtifactTooLarge},
		"too large together":       {[]verify.Signature{{Payload: big[:len(big)/2]}, {Annotations: big[:len(big)/2]}}, ReasonArtifactTooLarge},
		"too large when encoded":   {[]verify.Signature{{Payload: big}}, ReasonArtifactTooLarge},
		"too large annotations":    {[]verify.Signature{{Annotations: make([]byte, maxKeptBytes+1)}}, ReasonArtifactTooLarge},
		"too many to be judged":    {make([]verify.Signature, verify.MaxSignatures+1), ReasonArtifactTooLarge},
		"a format that is no text": {[]verify.Signature{{Format: verify.Format(strings.Repeat("x", maxKeptBytes))}}, ReasonArtifactTooLarge},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			v, _ := verified(t)
			_, err := s.Publish(v, owner, layersOnDisk(t, layer(regular("a", "1"))), c.signatures)
			var typed *Error
			if !errors.As(err, &typed) || typed.Reason != c.reason {
				t.Errorf("expected %s, found %v", c.reason, err)
			}
			if left := leftOver(t, s); len(left) > 0 {
				t.Errorf("found %q", left)
			}
		})
	}
}

func TestPublishSaysWhatItPublished(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", "1"), regular("b", "2")))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	want := Published{
		Path:   "modulesource/modules/podinfo/" + digest + ".tar.gz",
		Digest: "sha256:" + digest,
		Size:   int64(len(data)),
		Files:  2,
	}
	if diff := cmp.Diff(want, published); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"modulesource/modules",
		"modulesource/modules/podinfo",
		"modulesource/modules/podinfo/" + digest + ".signatures.json",
		"modulesource/modules/podinfo/" + digest + ".tar.gz",
	}, leftOver(t, s)); diff != "" {
		t.Errorf("on disk (-want +got):\n%s", diff)
	}
}

func TestPublishAgainChangesNothing(t *testing.T) {
	s := newStore(t, Options{})
	first, _ := publish(t, s, owner, layer(regular("a", "1")))
	before := leftOver(t, s)
	second, _ := publish(t, s, owner, layer(regular("a", "1")))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, leftOver(t, s)); diff != "" {
		t.Errorf("on disk (-want +got):\n%s", diff)
	}
}

func TestPublishHealsTheDisk(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", "1")))
	if err := os.WriteFile(file, []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}
	publish(t, s, owner, layer(regular("a", "1")))
	if diff := cmp.Diff(map[string]string{"a": "644 1"}, readArchive(t, file)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.Holds(owner, published.Path, published.Digest) {
		t.Error("expected to hold it again")
	}
}

// wantStorageFailed wants the disk blamed, in a text that is the same next time.
func wantStorageFailed(t *testing.T, err error) {
	t.Helper()
	var typed *Error
	if !errors.As(err, &typed) || typed.Reason != ReasonStorageFailed {
		t.Fatalf("expected %s, found %v", ReasonStorageFailed, err)
	}
	if strings.Contains(err.Error(), os.TempDir()) || strings.Contains(err.Error(), "work-") {
		t.Errorf("the text names a path of the disk: %v", err)
	}
}

// What the disk refuses is not what the layers lack.
func TestPublishReportsTheDisk(t *testing.T) {
	good := layer(regular("a", "1"))
	cases := map[string]struct {
		layers   func(t *testing.T) []Layer
		sabotage func(t *testing.T, s *Store)
		is       error
	}{
		"a layer that is not there": {
			layers: func(t *testing.T) []Layer { return []Layer{{Path: filepath.Join(t.TempDir(), "none")}} },
			is:     fs.ErrNotExist,
		},
		"a layer that cannot be read": {
			layers: func(t *testing.T) []Layer { return []Layer{{Path: t.TempDir()}} },
		},
		"a file where the temporary folder belongs": {
			sabotage: func(t *testing.T, s *Store) {
				if err := os.RemoveAll(filepath.Join(s.dir, tempFolder)); err != nil {
					t.Fatal(err)
				}
				plant(t, s, tempFolder, "x")
			},
		},
		"a file where the owner's folder belongs": {
			sabotage: func(t *testing.T, s *Store) { plant(t, s, owner.folder(), "x") },
		},
		"a folder where the archives belong that leads out": {
			sabotage: func(t *testing.T, s *Store) {
				if err := os.Symlink(t.TempDir(), filepath.Join(s.dir, archiveFolder, owner.Namespace)); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			layers := layersOnDisk(t, good)
			if c.layers != nil {
				layers = c.layers(t)
			}
			if c.sabotage != nil {
				c.sabotage(t, s)
			}
			v, signatures := verified(t)
			_, err := s.Publish(v, owner, layers, signatures)
			wantStorageFailed(t, err)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("expected %v, found %v", c.is, err)
			}
		})
	}
}

// full is a disk that takes so many bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestSpoolThatIsFullIsTheDisk(t *testing.T) {
	for name, size := range map[string]int{"while reading": 1 << 20, "at the end": 10} {
		t.Run(name, func(t *testing.T) {
			data := layer(regular("a", incompressible(size)))
			tree := newTree(Limits{ArchiveBytes: 1 << 30, Files: 10, Ratio: 200}, &full{room: 5})
			err := tree.addLayer(strings.NewReader(string(data)), int64(len(data)))
			if err == nil {
				_, err = tree.files()
			}
			wantStorageFailed(t, err)
		})
	}
}

// The archive is never there without its signatures: they are in place before.
func TestPublishPlacesSignaturesFirst(t *testing.T) {
	s := newStore(t, Options{})
	v, signatures := verified(t)
	first, _ := publish(t, newStore(t, Options{}), owner, layer(regular("a", "1")))
	hex, _ := hexOf(first.Digest)
	// The archive cannot be put in place: a folder is there, with something in it.
	plant(t, s, owner.archive(hex)+"/x", "x")
	_, err := s.Publish(v, owner, layersOnDisk(t, layer(regular("a", "1"))), signatures)
	wantStorageFailed(t, err)
	if _, err := os.Stat(filepath.Join(s.dir, owner.signatures(hex))); err != nil {
		t.Errorf("expected the signatures in place before the archive, found %v", err)
	}
	// And an archive is not there when the signatures cannot be.
	s = newStore(t, Options{})
	plant(t, s, owner.signatures(hex)+"/x", "x")
	_, err = s.Publish(v, owner, layersOnDisk(t, layer(regular("a", "1"))), signatures)
	wantStorageFailed(t, err)
	if _, err := os.Stat(filepath.Join(s.dir, owner.archive(hex))); err == nil {
		t.Error("found an archive without signatures")
	}
}

func TestOwnersDoNotWaitForOneAnother(t *testing.T) {
	s := newStore(t, Options{})
	_, unlock := s.lock(owner) // Somebody is at work for ever.
	defer unlock()
	other := Owner{Namespace: owner.Namespace, Name: "other"}
	published, _ := publish(t, s, other, layer(regular("a", "1")))
	if !s.Holds(other, published.Path, published.Digest) {
		t.Error("expected to hold it")
	}
	if err := s.Collect(); err != nil {
		t.Error(err)
	}
	if err := s.Withdraw(other); err != nil {
		t.Error(err)
	}
}

func TestStoreConcurrently(t *testing.T) {
	s := newStore(t, Options{})
	v, signatures := verified(t)
	var group sync.WaitGroup
	for n := range 8 {
		o := Owner{Namespace: "modules", Name: fmt.Sprintf("m%d", n/2)} // Two for each owner.
		layers := layersOnDisk(t, layer(regular("a", fmt.Sprint(n))))
		group.Go(func() {
			for range 5 {
				published, err := s.Publish(v, o, layers, signatures)
				if err != nil {
					t.Error(err)
					return
				}
				s.Holds(o, published.Path, published.Digest)
				s.Adopt(o, published.Digest)
				if _, err := s.Signatures(o, published.Digest); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if err := errors.Join(s.Collect(), s.Withdraw(o)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if len(s.owners) > 0 {
		t.Errorf("found %v", s.owners)
	}
}
