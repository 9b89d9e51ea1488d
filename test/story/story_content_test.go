package story

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/test/module"
)

// signed pushes an image of any kind, and signs it with the world's key.
func (w *world) signed(repo, tag string, image v1.Image, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := module.Push(background, w.repo(repo)+":"+tag, image)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sign(repo, digest, "bundle", w.key)
	return digest
}

// archive is a tar+gzip stream of entries.
func archive(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// moduleOf is a Timoni module of one layer.
func moduleOf(version string, layer []byte) (v1.Image, error) {
	return module.Raw(module.RawOptions{
		ConfigMediaType: module.ConfigMediaType, Config: []byte("{}"),
		Layers:      []module.Layer{{MediaType: module.ContentMediaType, Content: layer}},
		Annotations: map[string]string{module.VersionAnnotation: version},
	})
}

// Signed by the right key, and hostile all the same: nothing of it is
// published, and what was before stays.
func TestStoryHostileArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	rows := map[string]struct {
		layer []byte
		says  string
	}{
		"symbolic-link":    {archive(t, &tar.Header{Name: "passwd", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "a symbolic link"},
		"hard-link":        {archive(t, &tar.Header{Name: "passwd", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), "a hard link"},
		"character-device": {archive(t, &tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}), "a character device"},
		"block-device":     {archive(t, &tar.Header{Name: "sda", Typeflag: tar.TypeBlock}), "a block device"},
		"fifo":             {archive(t, &tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}), "a FIFO"},
		"absolute-path":    {archive(t, &tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}), `"/etc/passwd"`},
		"path-above":       {archive(t, &tar.Header{Name: "a/../../passwd", Typeflag: tar.TypeReg}), `"a/../../passwd"`},
		"same-path-twice":  {archive(t, &tar.Header{Name: "a", Typeflag: tar.TypeReg}, &tar.Header{Name: "a", Typeflag: tar.TypeReg}), "found it twice"},
		"nothing":          {archive(t), "expected at least one file"},
		"no-archive":       {[]byte("a module, believe me"), "expected tar and gzip"},
		"cut-short":        {archive(t, &tar.Header{Name: "a", Typeflag: tar.TypeReg})[:40], "cut short"},
	}
	for name, row := range rows {
		image, err := moduleOf("1.0.0", row.layer)
		digest := w.signed(name, "1.0.0", image, err)
		w.apply(name, w.spec(name, versioned("1.x")))
		says := []string{row.says}
		want := expectation{conditions: unpublishable("ArtifactInvalid"), observed: at("1.0.0", digest), says: map[string][]string{
			"FetchFailed": says, "Stalled": says, "Ready": says, "Verified": {digest, fingerprint(w.key)},
		}}
		w.expect(w.settled(name), want)
		w.expect(w.again(name), want)

		good := w.release(name, "1.1.0", "cosign")
		w.expect(w.poll(name), w.released("1.1.0", good))
		image, err = moduleOf("1.2.0", row.layer)
		worse := w.signed(name, "1.2.0", image, err)
		want = w.released("1.1.0", good)
		want.conditions, want.observed = keeping(unpublishable("ArtifactInvalid")), at("1.2.0", worse)
		w.expect(w.poll(name), want)
		w.told(w.tells(name, "Warning ArtifactInvalid", "Normal SignatureVerified", "Warning ArtifactInvalid"), row.says)
	}
	for _, file := range w.stored() {
		if !strings.Contains(file, "/modulesource/") {
			t.Errorf("expected nothing but what is published, found %s", file)
		}
	}
}

// Beyond a limit of the controller nothing is published, and what was before
// stays.
func TestStoryArtifactLimits(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 20 {
		many[fmt.Sprintf("file-%02d", i)] = "x"
	}
	rows := map[string]struct {
		limit func(*artifact.Limits)
		files map[string]string
		says  string
	}{
		"bytes":            {func(l *artifact.Limits) { l.ArchiveBytes = 4096 }, map[string]string{"zeros": strings.Repeat("0", 5000)}, "4096 uncompressed bytes"},
		"compressed-bytes": {func(l *artifact.Limits) { l.ArchiveBytes = 4096 }, map[string]string{"noise": noise(8192)}, "--artifact-max-bytes"},
		"files":            {func(l *artifact.Limits) { l.Files = 10 }, many, "at most 10 entries"},
		"ratio":            {func(l *artifact.Limits) { l.Ratio = 10 }, map[string]string{"zeros": strings.Repeat("0", 2<<20)}, "at most 10 uncompressed bytes for each compressed one"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{options: func(o *controllers.Options) { row.limit(&o.ArtifactLimits) }})
			// Small, without what the small module vendors.
			small := module.Options{Version: "1.0.0", Files: versionFile("1.0.0"), Vendor: map[string]string{}}
			image, err := module.New(small)
			digest := w.signed("app", "1.0.0", image, err)
			large := module.Options{Version: "1.1.0", Files: row.files, Vendor: map[string]string{}}
			image, err = module.New(large)
			beyond := w.signed("app", "1.1.0", image, err)

			w.apply("first", w.spec("app", versioned("1.1.0")))
			says := []string{row.says}
			w.expect(w.settled("first"), expectation{conditions: unpublishable("ArtifactTooLarge"), observed: at("1.1.0", beyond), says: map[string][]string{
				"FetchFailed": says, "Stalled": says, "Ready": says,
			}})
			w.again("first")
			w.told(w.tells("first", "Warning ArtifactTooLarge"), row.says)

			w.apply("app", w.spec("app", versioned("1.0.0")))
			kept := expectation{conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest), files: small.Files}
			w.expect(w.settled("app"), kept)
			w.edit("app", versioned("1.x"))
			kept.conditions, kept.observed = keeping(unpublishable("ArtifactTooLarge")), at("1.1.0", beyond)
			w.expect(w.settled("app"), kept)
			w.expect(w.again("app"), kept)
			w.edit("app", versioned("1.0.0"))
			kept.conditions, kept.observed = published(), at("1.0.0", digest)
			w.expect(w.settled("app"), kept)
			w.tells("app", "Normal SignatureVerified", "Warning ArtifactTooLarge", "Normal SignatureVerified")
		})
	}
}

// noise does not compress, and is the same each time.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return string(b)
}

// What is no artifact of files is verified, and not published.
func TestStoryNoArtifactOfFiles(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		image, err := module.New(module.Options{Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})
		tag, err := name.NewTag(w.repo("index") + ":1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(tag, index); err != nil {
			t.Fatal(err)
		}
		hash, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		w.sign("index", hash.String(), "bundle", w.key)
		image, err = module.Raw(module.RawOptions{
			ConfigMediaType: "application/vnd.example+json", Config: []byte("{}"),
			Layers: []module.Layer{{MediaType: "text/plain", Content: []byte("hello")}},
		})
		text := w.signed("text", "1.0.0", image, err)
		for repo, row := range map[string]struct{ digest, says string }{
			"index": {hash.String(), "expected an image manifest"},
			"text":  {text, "expected a layer of media type tar+gzip, found none among 1 layers"},
		} {
			w.apply(repo, w.spec(repo, versioned("1.0.0")))
			w.expect(w.settled(repo), expectation{conditions: unpublishable("ArtifactInvalid"), observed: at("1.0.0", row.digest), says: map[string][]string{
				"FetchFailed": {at("1.0.0", row.digest), row.says}, "Ready": {row.says},
			}})
			w.again(repo)
			w.told(w.tells(repo, "Warning ArtifactInvalid"), row.says)
		}
	})
}

// Other kinds of artifact than Timoni's modules are published too.
func TestStoryKindsOfArtifact(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		files := map[string]string{"app/Chart.yaml": "name: app\n", "app/templates/cm.yaml": "kind: ConfigMap\n"}
		chart, err := module.Archive(files)
		if err != nil {
			t.Fatal(err)
		}
		helm := func(version string) (v1.Image, error) {
			return module.Raw(module.RawOptions{
				ConfigMediaType: "application/vnd.cncf.helm.config.v1+json", Config: []byte("{}"),
				Layers: []module.Layer{
					{MediaType: "application/vnd.cncf.helm.chart.provenance.v1.prov", Content: []byte("-----BEGIN PGP SIGNED MESSAGE-----")},
					{MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", Content: chart},
				},
				Annotations: map[string]string{module.VersionAnnotation: version, "org.opencontainers.image.title": "app", "example.com/other": "kept out"},
			})
		}
		docker, err := module.Raw(module.RawOptions{
			ConfigMediaType: types.DockerConfigJSON, Config: []byte("{}"),
			Layers: []module.Layer{{MediaType: types.DockerLayer, Content: chart}},
		})
		if err != nil {
			t.Fatal(err)
		}
		flux, err := module.Flux(module.FluxOptions{Files: files, Source: "https://example.com/app", Revision: "main@sha1:0123"})
		if err != nil {
			t.Fatal(err)
		}
		chartImage, err := helm("1.0.0+build.7")
		digests := map[string]string{
			"chart":  w.signed("chart", "1.0.0_build.7", chartImage, err),
			"flux":   w.signed("flux", "1.0.0", flux, nil),
			"docker": w.signed("docker", "1.0.0", docker, nil),
		}
		versions := map[string]string{"chart": "1.0.0+build.7", "flux": "1.0.0", "docker": "1.0.0"}
		for repo, digest := range digests {
			w.apply(repo, w.spec(repo, versioned(versions[repo])))
			revision := at(strings.ReplaceAll(versions[repo], "+", "_"), digest)
			w.expect(w.settled(repo), expectation{conditions: published(), observed: revision, artifact: revision, files: files})
		}
		if found := w.get("chart").Status.Artifact.Metadata; !maps.Equal(found, map[string]string{
			module.VersionAnnotation: "1.0.0+build.7", "org.opencontainers.image.title": "app",
		}) {
			t.Errorf("expected the annotations of OCI, found %v", found)
		}

		// A chart that says its version is held to it.
		old, err := helm("0.9.0")
		digest := w.signed("chart", "1.1.0", old, err)
		w.edit("chart", versioned("1.1.0"))
		w.expect(w.settled("chart"), expectation{
			conditions: keeping(refused("VersionMismatch")), observed: at("1.1.0", digest), artifact: at("1.0.0_build.7", digests["chart"]), files: files,
		})
		w.tells("flux", "Normal SignatureVerified")
		w.tells("docker", "Normal SignatureVerified")
		w.tells("chart", "Normal SignatureVerified", "Warning VersionMismatch")
	})
}

// The layers of a Timoni module are merged in their order: the module's own
// files win over what is vendored, and folders over nothing.
func TestStoryLayersAreMerged(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		digest := w.pushAs("app", "1.0.0", module.Options{
			Version: "1.0.0",
			Vendor:  map[string]string{"both.cue": "vendored", "cue.mod/pkg/a.cue": "a", "cue.mod/pkg/deep/b.cue": "b"},
			Files:   map[string]string{"both.cue": "own", "timoni.cue": "c", "cue.mod/pkg/a.cue": "patched"},
		})
		w.sign("app", digest, "bundle", w.key)
		w.apply("app", w.spec("app", versioned("1.0.0")))
		w.expect(w.settled("app"), expectation{
			conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest),
			files: map[string]string{"both.cue": "own", "cue.mod/pkg/a.cue": "patched", "cue.mod/pkg/deep/b.cue": "b", "timoni.cue": "c"},
		})

		// Where they contradict each other there is nothing to merge.
		conflict := w.pushAs("app", "1.1.0", module.Options{
			Version: "1.1.0", Vendor: map[string]string{"a": "a file"}, Files: map[string]string{"a/b": "and a folder"},
		})
		w.sign("app", conflict, "bundle", w.key)
		w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.1.0" })
		if obj := w.settled("app"); is(obj, "FetchFailed") != "True/ArtifactInvalid" {
			t.Errorf("expected ArtifactInvalid, found\n%s", describe(obj))
		}
	})
}
