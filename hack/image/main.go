// Command image makes the controller's image for all platforms as an OCI layout,
// without a container engine; takes the program out of it; pushes it by its
// digest; attaches a bill of materials to it; and, once all of that is signed,
// tags it. Each prints a digest.
//
//	image build -version v1.2.3 -revision <commit> -epoch <seconds> dist/image
//	image program dist/image linux/amd64 dist/assay-controller
//	image push dist/image ghcr.io/assay-dev/assay-controller
//	image attach dist/sbom.cdx.json ghcr.io/assay-dev/assay-controller@sha256:…
//	image tag ghcr.io/assay-dev/assay-controller@sha256:… v1.2.3
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/assay-dev/assay/hack/image/dockerfile"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	digest, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

func run(ctx context.Context, args []string) (v1.Hash, error) {
	commands := map[string]func(context.Context, []string) (v1.Hash, error){
		"build": makeLayout, "program": program, "push": push, "attach": attach, "tag": tag,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return v1.Hash{}, fmt.Errorf("expected build, program, push, attach or tag, found %q", args)
	}
	return commands[args[0]](ctx, args[1:])
}

// makeLayout makes the image. What was in the folder is replaced once it is made.
func makeLayout(ctx context.Context, args []string) (v1.Hash, error) {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	version := flags.String("version", "", "what the image and its program say of themselves")
	revision := flags.String("revision", "", "commit that it is made of")
	epoch := flags.Int64("epoch", 0, "time of all that is in it, in seconds since 1970: that of the commit")
	if err := flags.Parse(args); err != nil {
		return v1.Hash{}, err
	}
	if flags.NArg() != 1 || *version == "" || *revision == "" {
		return v1.Hash{}, errors.New("expected -version, -revision and a folder")
	}
	recipe, err := dockerfile.Read(".")
	if err != nil {
		return v1.Hash{}, err
	}
	scratch, err := os.MkdirTemp("", "assay-image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // A folder that stays does no harm.
	index, err := recipe.Index(ctx, scratch, dockerfile.Args{Version: *version, Revision: *revision, Created: time.Unix(*epoch, 0).UTC()})
	if err != nil {
		return v1.Hash{}, err
	}
	return write(index, flags.Arg(0), *version)
}

// write writes the layout beside its place first.
func write(index v1.ImageIndex, folder, version string) (v1.Hash, error) {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return v1.Hash{}, err
	}
	made, err := os.MkdirTemp(filepath.Dir(folder), ".image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(made) //nolint:errcheck // A folder that stays does no harm.
	path, err := layout.Write(filepath.Join(made, "layout"), empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version})); err != nil {
		return v1.Hash{}, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return v1.Hash{}, err
	}
	if err := os.Rename(filepath.Join(made, "layout"), folder); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// load is the one image in a layout.
func load(folder string) (v1.ImageIndex, error) {
	all, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, err
	}
	if n := len(manifest.Manifests); n != 1 {
		return nil, fmt.Errorf("%s: expected one image, found %d", folder, n)
	}
	return all.ImageIndex(manifest.Manifests[0].Digest)
}

// program writes the entry point of an image for a platform to a file.
func program(_ context.Context, args []string) (v1.Hash, error) {
	if len(args) != 3 {
		return v1.Hash{}, fmt.Errorf("program: expected a layout, a platform and a file, found %q", args)
	}
	index, err := load(args[0])
	if err != nil {
		return v1.Hash{}, err
	}
	platform, err := v1.ParsePlatform(args[1])
	if err != nil {
		return v1.Hash{}, err
	}
	found, err := partial.FindImages(index, match.Platforms(*platform))
	if err != nil {
		return v1.Hash{}, err
	}
	if len(found) != 1 {
		return v1.Hash{}, fmt.Errorf("%s: expected an image for %s, found %d", args[0], platform, len(found))
	}
	return extract(found[0], args[2])
}

// extract takes the program out of the last layer, which holds it alone.
func extract(image v1.Image, to string) (v1.Hash, error) {
	layers, err := image.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	last := layers[len(layers)-1]
	archive, err := last.Uncompressed()
	if err != nil {
		return v1.Hash{}, err
	}
	defer archive.Close()
	r := tar.NewReader(archive)
	if _, err := r.Next(); err != nil {
		return v1.Hash{}, err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	return digest, err
}
