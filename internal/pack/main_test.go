package pack_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(registry.DistributionGoroutine))
}

// folder writes files into a new folder, with the modes that the fixtures'
// module had.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// module is the module of the fixtures, with other files over it.
func module(t testing.TB, over map[string]string) string {
	t.Helper()
	files := fixtures.Module()
	maps.Copy(files, over)
	return folder(t, files)
}

func mustPack(t testing.TB, o pack.Options) *pack.Packed {
	t.Helper()
	if o.Version == "" {
		o.Version = "1.0.0"
	}
	packed, err := pack.Pack(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := packed.Close(); err != nil {
			t.Error(err)
		}
	})
	return packed
}

func manifest(t testing.TB, image v1.Image) *v1.Manifest {
	t.Helper()
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// entries are the headers and contents of a layer, in their order.
func entries(t testing.TB, l v1.Layer) (names []string, contents map[string]string) {
	t.Helper()
	stream, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	unzipped, err := gzip.NewReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	contents = map[string]string{}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Typeflag == tar.TypeReg {
			contents[header.Name] = string(body)
		}
	}
}

func layers(t testing.TB, image v1.Image) []v1.Layer {
	t.Helper()
	list, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return list
}
