package pack_test

import (
	"encoding/json"
	"os"
	"path"
	"testing"

	fluxoci "github.com/fluxcd/pkg/oci"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"strings"

	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// Timoni itself made the fixtures of this module: "unsigned" is one of those
// whose README has one more line.
func TestPackMakesWhatTimoniMade(t *testing.T) {
	for _, name := range []string{"unsigned", "v2-key-notlog", "two-formats"} {
		t.Run(name, func(t *testing.T) {
			dir := module(t, map[string]string{"README.md": fixtures.Module()["README.md"] + "fixture " + name + "\n"})
			packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Timoni})
			digest, err := fixtures.Digest(name)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := fixtures.File(path.Join(name, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
			if err != nil {
				t.Fatal(err)
			}
			var want v1.Manifest
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, *manifest(t, packed.Image)); diff != "" {
				t.Errorf("manifest (-timoni +ours):\n%s", diff)
			}
			if packed.Digest != digest {
				t.Errorf("expected the digest %s, found %s", digest, packed.Digest)
			}
			if packed.Files != len(fixtures.Module()) {
				t.Errorf("expected %d files, found %d", len(fixtures.Module()), packed.Files)
			}
			if err := validate.Image(packed.Image, validate.Fast); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPackMakesWhatFluxMakes(t *testing.T) {
	files := map[string]string{"configmap.yaml": "kind: ConfigMap\n", "apps/app.yaml": "kind: Deployment\n", "logo.png": "no manifest", ".gitignore": "*\n"}
	dir := folder(t, files)
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	const created, source, revision = "2026-02-03T04:05:06Z", "https://example.com/app", "main@sha1:abc"
	flux := fluxoci.NewClient(fluxoci.DefaultOptions())
	reference := server.Host() + "/flux:1.0.0"
	_, err = flux.Push(t.Context(), reference, dir,
		// What its command leaves out by default.
		fluxoci.WithPushIgnorePaths(strings.Split(sourceignore.ExcludeVCS+","+sourceignore.ExcludeExt, ",")...),
		fluxoci.WithPushMetadata(fluxoci.Metadata{
			Source: source, Revision: revision, Created: created, Annotations: map[string]string{"org.opencontainers.image.version": "1.0.0"},
		}))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := remote.Image(parsed, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Flux, Annotations: map[string]string{
		"org.opencontainers.image.source": source, "org.opencontainers.image.revision": revision, "org.opencontainers.image.created": created,
	}})
	if diff := cmp.Diff(manifest(t, theirs), manifest(t, packed.Image)); diff != "" {
		t.Errorf("manifest (-flux +ours):\n%s", diff)
	}
	wantNames(t, packed, 0, ".", "apps", "apps/app.yaml", "configmap.yaml")
}

func TestPackGeneric(t *testing.T) {
	dir := folder(t, map[string]string{"a.txt": "a", "logo.png": "picture", ".git/config": "secret", ".sourceignore": "*.log\n", "x.log": "noise"})
	packed := mustPack(t, pack.Options{Dir: dir, Type: pack.Generic, Version: "1.2.3", Annotations: map[string]string{"org.opencontainers.image.version": "9.9.9", "a": "b"}})
	m := manifest(t, packed.Image)
	if m.ArtifactType != "application/vnd.unknown.artifact.v1" || m.Config.MediaType != "application/vnd.oci.empty.v1+json" ||
		len(m.Layers) != 1 || m.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar+gzip" {
		t.Errorf("found the manifest %+v", m)
	}
	if config, err := packed.Image.RawConfigFile(); string(config) != "{}" || err != nil {
		t.Errorf("expected the empty config, found %q, %v", config, err)
	}
	if diff := cmp.Diff(map[string]string{"org.opencontainers.image.version": "1.2.3", "a": "b"}, m.Annotations); diff != "" {
		t.Errorf("annotations (-expected +found):\n%s", diff)
	}
	wantNames(t, packed, 0, ".", ".sourceignore", "a.txt", "logo.png")
}

func wantNames(t *testing.T, packed *pack.Packed, layer int, want ...string) {
	t.Helper()
	names, _ := entries(t, layers(t, packed.Image)[layer])
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("layer %d (-expected +found):\n%s", layer, diff)
	}
}

// The same again is the same digest, and whatever the disk says of times does
// not matter.
func TestPackIsDeterministic(t *testing.T) {
	for _, kind := range pack.Types() {
		t.Run(string(kind), func(t *testing.T) {
			first := mustPack(t, pack.Options{Dir: module(t, nil), Type: kind})
			second := mustPack(t, pack.Options{Dir: module(t, nil), Type: kind})
			if first.Digest != second.Digest {
				t.Errorf("expected one digest, found %s and %s", first.Digest, second.Digest)
			}
		})
	}
}

func TestCloseRemoves(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	packed, err := pack.Pack(t.Context(), pack.Options{Dir: module(t, nil), Type: pack.Timoni, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); len(left) > 0 || err != nil {
		t.Errorf("expected nothing, found %v, %v", left, err)
	}
}
