package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
)

func TestFetchRefusesWhatIsNotVerified(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	digest := push(t, server, "app", "1.0.0", module.Options{Version: "1.0.0"})
	server.Reset()
	c := client(t, newPool(t), server, "app")
	tests := map[string]struct {
		v verify.Verified
		r Revision
	}{
		"the zero Verified":              {verify.Verified{}, Revision{"1.0.0", digest}},
		"the zero Verified and Revision": {verify.Verified{}, Revision{}},
		"a Verified of another digest":   {verified(t, otherDigest), Revision{"1.0.0", digest}},
		"a Revision without a digest":    {verified(t, digest), Revision{Version: "1.0.0"}},
		"a digest in another spelling":   {verified(t, digest), Revision{"1.0.0", strings.ToUpper(digest)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			content, err := c.Fetch(t.Context(), tt.v, tt.r, dir, math.MaxInt64)
			wantReason(t, err, ArtifactInvalid)
			if len(content.Layers) != 0 {
				t.Errorf("expected nothing, found %v", content.Layers)
			}
			if files, _ := os.ReadDir(dir); len(files) != 0 {
				t.Errorf("expected no files, found %v", files)
			}
		})
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("expected no request, found %d: %v", n, server.Requests())
	}
}

func TestFetch(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := start(t, kind, testregistry.Options{})
			digest := push(t, server, "app", "1.0.0", module.Options{
				Version: "1.0.0", Source: "https://example.com", Files: map[string]string{"timoni.cue": "second"}, Vendor: map[string]string{"cue.mod/module.cue": "first"},
			})
			server.Reset()
			dir := t.TempDir()
			var done, total, size int64
			c := client(t, newPool(t), server, "app")
			c.Progress = func(d, of int64) {
				if d <= done {
					t.Errorf("progress: expected more than %d bytes, found %d", done, d)
				}
				done, total = d, of
			}
			content, err := c.Fetch(t.Context(), verified(t, digest), Revision{"1.0.0", digest}, dir, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for i, files := range []map[string]string{{"cue.mod/module.cue": "first"}, {"timoni.cue": "second"}} {
				want, err := module.Archive(files)
				if err != nil {
					t.Fatal(err)
				}
				if found, err := os.ReadFile(content.Layers[i]); err != nil || string(found) != string(want) {
					t.Errorf("layer %d: %v, %d bytes", i, err, len(found))
				}
				size += int64(len(want))
				if filepath.Dir(content.Layers[i]) != dir {
					t.Errorf("layer %d is elsewhere: %s", i, content.Layers[i])
				}
			}
			if done != size || total != size {
				t.Errorf("progress: expected %d of %d bytes at the end, found %d of %d", size, size, done, total)
			}
			want := map[string]string{"org.opencontainers.image.version": "1.0.0", "org.opencontainers.image.source": "https://example.com"}
			if diff := cmp.Diff(want, content.Annotations); diff != "" {
				t.Errorf("annotations (-expected +found):\n%s", diff)
			}
			wantCounts(t, server, map[string]int{"GET ping": 1, "GET manifests": 1, "GET blobs": 2})
		})
	}
}

// fetch asks for a manifest and blobs of a test's making.
func fetch(t *testing.T, tag, body string, blobs answers, maxBytes int64) (Content, *testregistry.Server, error) {
	t.Helper()
	a := maps.Clone(blobs)
	if a == nil {
		a = answers{}
	}
	digest := a.put("manifests", "", body)["digest"].(string)
	server := start(t, "referrers", testregistry.Options{})
	server.Intercept(a.intercept)
	content, err := client(t, newPool(t), server, "app").Fetch(t.Context(), verified(t, digest), Revision{tag, digest}, t.TempDir(), maxBytes)
	if err != nil && len(content.Layers) != 0 {
		t.Errorf("expected no layers with an error, found %v", content.Layers)
	}
	return content, server, err
}

func TestFetchRefusesManifests(t *testing.T) {
	const timoni, helm = "application/vnd.timoni.content.v1.tar+gzip", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	blobs := answers{}
	layer := blobs.put("blobs", timoni, "layer")
	chart := blobs.put("blobs", helm, "layer")
	missing := map[string]any{"mediaType": helm, "digest": otherDigest, "size": 5}
	many := slices.Repeat([]map[string]any{layer}, maxLayers+1)
	tests := map[string]struct {
		body   string
		max    int64
		reason Reason
		blobs  int // pulled
	}{
		"one layer":                      {body: manifestOf(chart), blobs: 1},
		"as many as may be":              {body: manifestOf(many[1:]...), blobs: maxLayers},
		"more than may be":               {body: manifestOf(many...), reason: ArtifactInvalid},
		"the first layer of others only": {body: manifestOf(chart, missing), blobs: 1},
		"no layers":                      {body: manifestOf(), reason: ArtifactInvalid},
		"no layer of tar and gzip":       {body: manifestOf(with(chart, "mediaType", "text/plain")), reason: ArtifactInvalid},
		"an index":                       {body: `{"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]}`, reason: ArtifactInvalid},
		"an index that lists layers":     {body: `{"mediaType":"application/vnd.oci.image.index.v1+json",` + manifestOf(chart)[1:], reason: ArtifactInvalid},
		"a list of Docker's":             {body: `{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json",` + manifestOf(chart)[1:], reason: ArtifactInvalid},
		"no JSON":                        {body: "<html>", reason: ArtifactInvalid},
		"JSON of another kind":           {body: "[]", reason: ArtifactInvalid},
		"nested deep":                    {body: `{"layers":` + nested(100_000) + `}`, reason: ArtifactInvalid},
		"a layer without a digest":       {body: manifestOf(map[string]any{"mediaType": helm, "size": 5}), reason: ArtifactInvalid},
		"a digest that goes up":          {body: manifestOf(with(chart, "digest", "../../other/blobs/"+otherDigest)), reason: ArtifactInvalid},
		"a negative size":                {body: manifestOf(with(chart, "size", -1)), reason: ArtifactInvalid},
		"a size of 10 GB":                {body: manifestOf(with(chart, "size", int64(10)<<30)), reason: ArtifactTooLarge},
		"sizes whose sum overflows":      {body: manifestOf(with(layer, "size", int64(math.MaxInt64)), with(layer, "size", int64(math.MaxInt64))), reason: ArtifactTooLarge},
		"a size beyond 64 bits":          {body: strings.Replace(manifestOf(chart), `"size":5`, `"size":99999999999999999999`, 1), reason: ArtifactInvalid},
		"exactly the limit":              {body: manifestOf(layer, layer), max: 10, blobs: 2},
		"a byte more than the limit":     {body: manifestOf(layer, layer), max: 9, reason: ArtifactTooLarge},
		"a size smaller than the layer":  {body: manifestOf(with(chart, "size", 4)), reason: RegistryUnavailable, blobs: 1},
		"a size larger than the layer":   {body: manifestOf(with(chart, "size", 6)), reason: RegistryUnavailable, blobs: 1},
		"a layer that is not there":      {body: manifestOf(missing), reason: RegistryUnavailable, blobs: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.max == 0 {
				tt.max = 1 << 20
			}
			content, server, err := fetch(t, "latest", tt.body, blobs, tt.max)
			wantReason(t, err, tt.reason)
			if tt.reason == "" && len(content.Layers) != tt.blobs {
				t.Errorf("expected %d layers, found %d", tt.blobs, len(content.Layers))
			}
			if n := server.Counts()["GET blobs"]; n != tt.blobs {
				t.Errorf("expected %d blobs to be asked for, found %d", tt.blobs, n)
			}
		})
	}
}

// A manifest that was verified and is not there any more is not found, which is
// another thing than refused.
func TestFetchOfWhatIsGone(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	push(t, server, "app", "1.0.0", module.Options{})
	_, err := client(t, newPool(t), server, "app").Fetch(t.Context(), verified(t, otherDigest), Revision{"1.0.0", otherDigest}, t.TempDir(), 1<<20)
	wantReason(t, err, VersionNotFound)
}

// A disk that fails is no fault of the registry's, and the message has no path.
func TestFetchWithoutDisk(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	digest := push(t, server, "app", "1.0.0", module.Options{Version: "1.0.0"})
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := client(t, newPool(t), server, "app").Fetch(t.Context(), verified(t, digest), Revision{"1.0.0", digest}, dir, 1<<20)
	wantReason(t, err, StorageFailed)
	if err == nil || strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("found %v", err)
	}
}

// Signatures cover a digest, and whoever may push could offer an old one under
// a higher version.
func TestVersionOfTheSignedManifest(t *testing.T) {
	const none = "(none)"
	tests := map[string]struct {
		tag, written string
		plain        bool // not a Timoni module
		refused      bool
	}{
		"the same":                            {tag: "1.0.0", written: "1.0.0"},
		"an old one under a higher tag":       {tag: "6.9.9", written: "1.0.0", refused: true},
		"a higher one under an old tag":       {tag: "1.0.0", written: "6.9.9", refused: true},
		"none":                                {tag: "1.0.0", written: none, refused: true},
		"an empty one":                        {tag: "1.0.0", written: "", refused: true},
		"something else":                      {tag: "1.0.0", written: "latest", refused: true},
		"v in the tag":                        {tag: "v1.0.0", written: "1.0.0"},
		"v in the manifest":                   {tag: "1.0.0", written: "v1.0.0"},
		"a candidate of it":                   {tag: "1.0.0", written: "1.0.0-rc.1", refused: true},
		"it of a candidate":                   {tag: "1.0.0-rc.1", written: "1.0.0", refused: true},
		"build metadata":                      {tag: "1.0.0_b1", written: "1.0.0+b1"},
		"other build metadata":                {tag: "1.0.0_b1", written: "1.0.0+b2", refused: true},
		"build metadata in the tag only":      {tag: "1.0.0_b1", written: "1.0.0", refused: true},
		"build metadata in the manifest only": {tag: "1.0.0", written: "1.0.0+b1", refused: true},
		"two parts in the manifest":           {tag: "1.0.0", written: "1.0", refused: true},
		"a space":                             {tag: "1.0.0", written: "1.0.0 ", refused: true},
		"a tag that is no version":            {tag: "latest", written: "1.0.0"},
		"a tag that is no version, and none":  {tag: "latest", written: none},
		"a tag of two parts":                  {tag: "1.0", written: "9.9.9"},
		"a pin":                               {tag: "", written: "9.9.9"},
		"another tool's: the same":            {tag: "1.0.0", written: "1.0.0", plain: true},
		"another tool's: an old one":          {tag: "6.9.9", written: "1.0.0", plain: true, refused: true},
		"another tool's: none":                {tag: "1.0.0", written: none, plain: true},
		"another tool's: a use of its own":    {tag: "1.0.0", written: "main/abc", plain: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &manifest{Layers: layerList{first: []descriptor{{MediaType: timoniContentMediaType}}}}
			if tt.plain {
				m.Layers.first[0].MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
			}
			annotations := map[string]string{"other": "x"}
			if tt.written != none {
				annotations[versionAnnotation] = tt.written
			}
			raw, err := json.Marshal(annotations)
			if err != nil {
				t.Fatal(err)
			}
			m.Annotations = raw
			err = m.checkVersion(Revision{tt.tag, otherDigest})
			if (err != nil) != tt.refused {
				t.Errorf("expected refused %t, found %v", tt.refused, err)
			}
			if err != nil {
				wantReason(t, err, VersionMismatch)
			}
		})
	}
}

// What makes a Timoni module is any of three things: leaving one out must not
// lift the check of the version.
func TestIsTimoni(t *testing.T) {
	tests := map[string]struct {
		m    manifest
		want bool
	}{
		"by its config":        {manifest{Config: descriptor{MediaType: timoniConfigMediaType}}, true},
		"by its artifact type": {manifest{ArtifactType: timoniConfigMediaType}, true},
		"by a layer":           {manifest{Layers: layerList{first: []descriptor{{MediaType: "text/plain"}, {MediaType: timoniContentMediaType}}}}, true},
		"by none":              {manifest{Config: descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json"}}, false},
	}
	for name, tt := range tests {
		if found := tt.m.isTimoni(); found != tt.want {
			t.Errorf("%s: expected %t", name, tt.want)
		}
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	of := func(m map[string]any) *manifest {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return &manifest{Annotations: raw}
	}
	many := map[string]any{}
	for i := range 100 {
		many[fmt.Sprintf("org.opencontainers.image.%03d", i)] = "x"
	}
	const key = "org.opencontainers.image.title"
	tests := map[string]struct {
		m    *manifest
		want map[string]string
	}{
		"none":                 {&manifest{}, map[string]string{}},
		"null":                 {&manifest{Annotations: json.RawMessage("null")}, map[string]string{}},
		"of a wrong type":      {&manifest{Annotations: json.RawMessage("[1]")}, map[string]string{}},
		"OCI's only":           {of(map[string]any{key: "x", "evil": "y", "org.opencontainers.image": "z", "dev.cosignproject.cosign/signature": "s"}), map[string]string{key: "x"}},
		"strings only":         {of(map[string]any{key: 1, "org.opencontainers.image.version": "1.0.0", "org.opencontainers.image.x": nil, "org.opencontainers.image.y": map[string]any{}}), map[string]string{"org.opencontainers.image.version": "1.0.0", "org.opencontainers.image.x": ""}},
		"as long as may be":    {of(map[string]any{key: strings.Repeat("x", maxAnnotationBytes-len(key))}), map[string]string{key: strings.Repeat("x", maxAnnotationBytes-len(key))}},
		"longer than may be":   {of(map[string]any{key: strings.Repeat("x", maxAnnotationBytes-len(key)+1)}), map[string]string{}},
		"a key that is longer": {of(map[string]any{annotationPrefix + strings.Repeat("x", maxAnnotationBytes): ""}), map[string]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.m.publicAnnotations()); diff != "" {
				t.Errorf("annotations (-expected +found):\n%s", diff)
			}
		})
	}
	found := of(many).publicAnnotations()
	if len(found) != maxAnnotations || found["org.opencontainers.image.000"] != "x" || found["org.opencontainers.image.015"] != "x" {
		t.Errorf("expected the first %d by name, found %v", maxAnnotations, found)
	}
}
