// Package image tests the controller's image: that it is what the Dockerfile
// says, the same each time it is made, and that its program runs in it as a
// container does.
package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/assay-dev/assay/hack/image/dockerfile"
	"github.com/assay-dev/assay/test/controlplane"
)

var (
	root    string // of the work tree
	scratch string // a folder that outlives each test
)

var arguments = dockerfile.Args{
	Version: "v1.2.3", Revision: strings.Repeat("ab", 20), Created: time.Unix(1700000000, 0).UTC(),
}

func TestMain(m *testing.M) {
	enterContainer() // Does not return in a container.
	os.Exit(run(m))
}

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // The test's own clients have nothing to say.
	var err error
	if root, err = controlplane.Root(); err == nil {
		scratch, err = os.MkdirTemp("", "assay-image-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	return m.Run()
}

// enterContainer becomes a container's program, where this process was started
// for that; container_linux_test.go knows how.
var enterContainer = func() {}

func recipe(t *testing.T) *dockerfile.Recipe {
	t.Helper()
	r, err := dockerfile.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// made is the image, made once.
func made(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := madeOnce()
	if err != nil {
		t.Fatal(err)
	}
	return index
}

var madeOnce = sync.OnceValues(func() (v1.ImageIndex, error) {
	r, err := dockerfile.Read(root)
	if err != nil {
		return nil, err
	}
	return r.Index(context.Background(), filepath.Join(scratch, "made"), arguments)
})

// images are those of an index by platform.
func images(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]v1.Image{}
	for _, d := range manifest.Manifests {
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		found[d.Platform.String()] = image
	}
	return found
}
