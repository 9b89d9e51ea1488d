package module_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	fluxoci "github.com/fluxcd/pkg/oci"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(registry.DistributionGoroutine))
}

func startRegistry(t *testing.T) *registry.Server {
	t.Helper()
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatalf("starting a registry: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	return server
}

func pull(t *testing.T, reference string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", reference, err)
	}
	return image
}

func mustManifest(t *testing.T, image v1.Image) *v1.Manifest {
	t.Helper()
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatalf("reading a manifest: %v", err)
	}
	return manifest
}

func mustDigest(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatalf("computing a digest: %v", err)
	}
	return digest.String()
}

// entry is what a tar archive says about a file.
type entry struct {
	Name     string
	Typeflag byte
	Mode     int64
	Content  string
}

func unpack(t *testing.T, content io.Reader) []entry {
	t.Helper()
	stream, err := gzip.NewReader(content)
	if err != nil {
		t.Fatalf("opening a layer: %v", err)
	}
	archive := tar.NewReader(stream)
	var entries []entry
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatalf("reading a layer: %v", err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatalf("reading %s: %v", header.Name, err)
		}
		entries = append(entries, entry{header.Name, header.Typeflag, header.Mode, string(content)})
	}
}

func layerEntries(t *testing.T, image v1.Image, index int) []entry {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatalf("listing layers: %v", err)
	}
	content, err := layers[index].Compressed()
	if err != nil {
		t.Fatalf("opening layer %d: %v", index, err)
	}
	defer content.Close()
	return unpack(t, content)
}

// blank forgets sizes and digests, which hang on the release of gzip.
func blank(manifest *v1.Manifest) *v1.Manifest {
	copied := manifest.DeepCopy()
	for i := range copied.Layers {
		copied.Layers[i].Size, copied.Layers[i].Digest = 0, v1.Hash{}
	}
	return copied
}

func TestNewIsWhatTimoniPushes(t *testing.T) {
	server := startRegistry(t)
	real, err := fixtures.Push(t.Context(), "unsigned", server.Host(), "real", true)
	if err != nil {
		t.Fatalf("pushing the fixture: %v", err)
	}
	want := pull(t, server.Host()+"/real@"+real)

	files := fixtures.Module()
	maps.DeleteFunc(files, func(name, _ string) bool { return name == "cue.mod/module.cue" })
	files["README.md"] += "fixture unsigned\n"
	image, err := module.New(module.Options{Version: "1.0.0", Files: files})
	if err != nil {
		t.Fatalf("making a module: %v", err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/made:1.0.0", image)
	if err != nil {
		t.Fatalf("pushing a module: %v", err)
	}
	got := pull(t, server.Host()+"/made@"+digest)

	if diff := cmp.Diff(blank(mustManifest(t, want)), blank(mustManifest(t, got))); diff != "" {
		t.Errorf("manifest (-timoni +ours):\n%s", diff)
	}
	for i := range 2 {
		if diff := cmp.Diff(layerEntries(t, want, i), layerEntries(t, got, i)); diff != "" {
			t.Errorf("layer %d (-timoni +ours):\n%s", i, diff)
		}
	}
}

func TestFluxIsWhatFluxPushes(t *testing.T) {
	server := startRegistry(t)
	files := map[string]string{"b/deploy.yaml": "kind: Deployment\n", "b-c.yaml": "kind: ConfigMap\n", "a.yaml": "kind: Service\n"}
	created := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	meta := fluxoci.Metadata{Source: "https://example.com/app", Revision: "main@sha1:abc", Created: created.Format(time.RFC3339)}
	flux := fluxoci.NewClient(fluxoci.DefaultOptions())
	if _, err := flux.Push(t.Context(), server.Host()+"/flux:1.0.0", writeTree(t, files), fluxoci.WithPushMetadata(meta)); err != nil {
		t.Fatalf("pushing with Flux: %v", err)
	}
	image, err := module.Flux(module.FluxOptions{
		Files: files, Source: meta.Source, Revision: meta.Revision, Created: created,
	})
	if err != nil {
		t.Fatalf("making an artifact: %v", err)
	}
	if diff := cmp.Diff(mustManifest(t, pull(t, server.Host()+"/flux:1.0.0")), mustManifest(t, image)); diff != "" {
		t.Errorf("manifest (-flux +ours):\n%s", diff)
	}
}

// writeTree writes files to a directory with the modes that archives have.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o700); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestOptionsShowInTheManifest(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	tests := map[string]struct {
		options module.Options
		want    map[string]string
	}{
		"Nothing": {},
		"Everything": {
			options: module.Options{Version: "1.2.3", Source: "https://example.com/m", Revision: "abc", Created: created},
			want: map[string]string{
				"org.opencontainers.image.version":  "1.2.3",
				"org.opencontainers.image.source":   "https://example.com/m",
				"org.opencontainers.image.revision": "abc",
				"org.opencontainers.image.created":  "2026-01-02T02:04:05Z",
			},
		},
		"AnnotationsWin": {
			options: module.Options{Version: "1.2.3", Annotations: map[string]string{module.VersionAnnotation: "9.9.9", "a": "b"}},
			want:    map[string]string{"org.opencontainers.image.version": "9.9.9", "a": "b"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			image, err := module.New(tt.options)
			if err != nil {
				t.Fatalf("making a module: %v", err)
			}
			got := mustManifest(t, image).Annotations
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			again, err := module.New(tt.options)
			if err != nil {
				t.Fatalf("making it again: %v", err)
			}
			if a, b := mustDigest(t, image), mustDigest(t, again); a != b {
				t.Errorf("the same options gave %s and %s", a, b)
			}
		})
	}
}

func TestNewDividesLayers(t *testing.T) {
	image, err := module.New(module.Options{
		Files:  map[string]string{"values.cue": "package main\n"},
		Vendor: map[string]string{"cue.mod/gen/x.cue": "package x\n"},
	})
	if err != nil {
		t.Fatalf("making a module: %v", err)
	}
	root := entry{".", tar.TypeDir, 0o700, ""}
	vendor := []entry{
		root,
		{"cue.mod", tar.TypeDir, 0o755, ""},
		{"cue.mod/gen", tar.TypeDir, 0o755, ""},
		{"cue.mod/gen/x.cue", tar.TypeReg, 0o644, "package x\n"},
	}
	if diff := cmp.Diff(vendor, layerEntries(t, image, 0)); diff != "" {
		t.Errorf("vendor layer (-want +got):\n%s", diff)
	}
	files := []entry{root, {"values.cue", tar.TypeReg, 0o644, "package main\n"}}
	if diff := cmp.Diff(files, layerEntries(t, image, 1)); diff != "" {
		t.Errorf("module layer (-want +got):\n%s", diff)
	}
}

func TestRawIsPushedAsItStands(t *testing.T) {
	server := startRegistry(t)
	layer := []byte("neither tar nor gzip")
	image, err := module.Raw(module.RawOptions{
		ConfigMediaType: "application/vnd.example.config+json",
		Config:          []byte("not JSON"),
		Layers:          []module.Layer{{MediaType: module.ContentMediaType, Content: layer}},
		Edit:            func(m *v1.Manifest) { m.Layers[0].Digest.Hex = absent },
	})
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/raw:1.0.0", image)
	if err != nil {
		t.Fatalf("pushing: %v", err)
	}
	pulled := pull(t, server.Host()+"/raw@"+digest)
	raw, err := pulled.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got v1.Manifest
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Layers[0].Digest.Hex != absent || got.Layers[0].MediaType != module.ContentMediaType {
		t.Errorf("manifest: %s", raw)
	}
	config, err := pulled.RawConfigFile()
	if err != nil || string(config) != "not JSON" {
		t.Errorf("config %q, %v", config, err)
	}
	wantHash, _, err := v1.SHA256(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(server.Host() + "/raw@" + wantHash.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Layer(ref, remote.WithContext(t.Context())); err != nil {
		t.Errorf("the layer was not pushed: %v", err)
	}
}

// absent is the digest of nothing that is anywhere.
const absent = "0000000000000000000000000000000000000000000000000000000000000000"
