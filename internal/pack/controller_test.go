package pack_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// What is packed is fetched, verified and published by the controller's own
// steps, and is then the files of the folder.
func TestTheControllerPublishesWhatIsPacked(t *testing.T) {
	server, err := testregistry.Distribution(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	key, err := signing.NewKey(signing.Kinds()[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range pack.Types() {
		t.Run(string(kind), func(t *testing.T) {
			packed := mustPack(t, pack.Options{Dir: module(t, nil), Type: kind, Version: "1.2.3"})
			reference, err := name.ParseReference(server.Host() + "/" + string(kind) + ":1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(reference, packed.Image, remote.WithContext(t.Context())); err != nil {
				t.Fatal(err)
			}
			if err := signing.SignBundle(t.Context(), reference.Context().Digest(packed.Digest).String(), key); err != nil {
				t.Fatal(err)
			}
			outcome, root := publish(t, server.Host()+"/"+string(kind), key.PublicPEM())
			if outcome.Revision.Digest != packed.Digest || outcome.Annotations[version] != "1.2.3" {
				t.Errorf("expected the digest %s of version 1.2.3, found %+v", packed.Digest, outcome)
			}
			want := maps.Clone(fixtures.Module())
			if diff := cmp.Diff(want, published(t, filepath.Join(root, filepath.FromSlash(outcome.Published.Path)))); diff != "" {
				t.Errorf("(-packed +published):\n%s", diff)
			}
		})
	}
}

// publish takes version 1.2.3 of a repository the controller's way.
func publish(t *testing.T, repository string, key []byte) (source.Outcome, string) {
	t.Helper()
	root := t.TempDir()
	store, err := artifact.NewStore(artifact.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	pool := registry.NewPool(registry.Options{UserAgent: "test", DialAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: time.Now})
	t.Cleanup(pool.Close)
	repo, err := registry.ParseRepository("oci://"+repository, true)
	if err != nil {
		t.Fatal(err)
	}
	selector, err := registry.NewSelector("1.2.3", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	syncer := &source.Syncer{Pool: pool, Store: store, Slots: source.NewSlots(1), MaxLayerBytes: 1 << 20, Now: time.Now}
	outcome, err := syncer.Sync(t.Context(), source.Request{
		Owner: artifact.Owner{Namespace: "default", Name: "app"}, Repository: repo, Selector: selector,
		Policy: verify.Policy{Threshold: 1, Authorities: []verify.Authority{{Name: "key", Keys: keys, TransparencyLog: verify.LogIgnore}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return outcome, root
}

func published(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(body)
	}
}
