package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// formats counts signatures by their format.
func formats(signatures []verify.Signature) map[verify.Format]int {
	counts := map[verify.Format]int{}
	for _, s := range signatures {
		counts[s.Format]++
	}
	return counts
}

func TestSignaturesOfBothFormats(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			server := start(t, kind, testregistry.Options{})
			digest := push(t, server, "app", "1.0.0", module.Options{})
			c := client(t, newPool(t), server, "app")
			reference := server.Host() + "/app@" + digest
			found, err := c.Signatures(t.Context(), digest)
			if err != nil || len(found) != 0 {
				t.Fatalf("unsigned: expected none and no error, found %d, %v", len(found), err)
			}
			for _, sign := range []func() error{
				func() error { return signing.SignCosign(t.Context(), reference, newKey(t)) },
				func() error { return signing.SignCosign(t.Context(), reference, newKey(t)) },
				func() error { return signing.SignBundle(t.Context(), reference, newKey(t)) },
				func() error {
					return signing.SignStatement(t.Context(), reference, signing.Statement{Digest: digest, PredicateType: "https://slsa.dev/provenance/v1"}, newKey(t))
				},
			} {
				if err := sign(); err != nil {
					t.Fatal(err)
				}
			}
			server.Reset()
			found, err = c.Signatures(t.Context(), digest)
			if err != nil {
				t.Fatal(err)
			}
			want := map[verify.Format]int{verify.FormatCosign: 2, verify.FormatBundle: 1}
			if diff := cmp.Diff(want, formats(found)); diff != "" {
				t.Errorf("signatures (-expected +found):\n%s", diff)
			}
			// Two signatures of one payload: it is pulled once, and the
			// attestation's not at all where its descriptor names it.
			if n := server.Counts()["GET blobs"]; n > 3 {
				t.Errorf("expected at most 3 blobs, found %d", n)
			}
			again, err := c.Signatures(t.Context(), digest)
			if diff := cmp.Diff(found, again); err != nil || diff != "" {
				t.Errorf("another order (-first +second): %v\n%s", err, diff)
			}
		})
	}
}

// "No referrers API" is 404, 400, 406, or 200 with another content type; any
// other failure is one. On it depends whether an artifact counts as not signed.
func TestReferrersAnswers(t *testing.T) {
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	tests := map[string]struct {
		code        int
		contentType string
		body        string
		fallback    bool
		reason      Reason
	}{
		"an index":                 {200, "application/vnd.oci.image.index.v1+json", index, false, ""},
		"an index with a charset":  {200, "application/vnd.oci.image.index.v1+json; charset=utf-8", index, false, ""},
		"not found":                {404, "application/json", `{"errors":[]}`, true, ""},
		"bad request":              {400, "", "", true, ""},
		"not acceptable":           {406, "", "", true, ""},
		"a web page":               {200, "text/html", "<html>", true, ""},
		"an index by another name": {200, "application/json", index, true, ""},
		"an index without a name":  {200, "", index, true, ""},
		"an index that is none":    {200, "application/vnd.oci.image.index.v1+json", "<html>", false, RegistryUnavailable},
		"an empty answer":          {200, "application/vnd.oci.image.index.v1+json", "", false, RegistryUnavailable},
		"an index of wrong types":  {200, "application/vnd.oci.image.index.v1+json", `{"manifests":{"a":1}}`, false, RegistryUnavailable},
		"an index nested deep":     {200, "application/vnd.oci.image.index.v1+json", `{"manifests":` + nested(100_000) + `}`, false, RegistryUnavailable},
		"an index too large":       {200, "application/vnd.oci.image.index.v1+json", strings.Repeat(" ", maxPageBytes+1), false, RegistryUnavailable},
		"no content":               {204, "", "", false, RegistryUnavailable},
		"unauthorized":             {401, "", "", false, AuthenticationFailed},
		"forbidden":                {403, "", "", false, AuthenticationFailed},
		"method not allowed":       {405, "", "", false, RegistryUnavailable},
		"gone":                     {410, "", "", false, RegistryUnavailable},
		"rate limited":             {429, "", "", false, RateLimited},
		"internal error":           {500, "", "", false, RegistryUnavailable},
		"not implemented":          {501, "", "", false, RegistryUnavailable},
		"unavailable":              {503, "", "", false, RegistryUnavailable},
		"a redirect to nowhere":    {302, "", "", false, RegistryUnavailable},
		"not modified":             {304, "", "", false, RegistryUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, "distribution", testregistry.Options{})
			digest := push(t, server, "app", "1.0.0", module.Options{})
			if err := signing.SignBundle(t.Context(), server.Host()+"/app@"+digest, newKey(t)); err != nil {
				t.Fatal(err)
			}
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindReferrers, testregistry.Respond(tt.code, http.Header{"Content-Type": {tt.contentType}}, []byte(tt.body))))
			p := newPool(t)
			server.Reset()
			for range 2 {
				c := client(t, p, server, "app")
				found, err := c.Signatures(t.Context(), digest)
				c.Close()
				wantReason(t, err, tt.reason)
				want := 0
				if tt.fallback {
					want = 1
				}
				if len(found) != want {
					t.Errorf("expected %d signatures, found %d", want, len(found))
				}
			}
			asked := 2
			if tt.fallback {
				asked = 1 // Remembered.
			}
			if found := server.Counts()["GET referrers"]; found != asked {
				t.Errorf("expected %d requests for referrers, found %d", asked, found)
			}
		})
	}
}

// The tags of signatures are looked for in the same way: only 404 is absence.
func TestTagsOfSignaturesAnswers(t *testing.T) {
	reasons := map[int]Reason{
		404: "", 400: RegistryUnavailable, 401: AuthenticationFailed, 403: AuthenticationFailed, 405: RegistryUnavailable, 406: RegistryUnavailable,
		410: RegistryUnavailable, 429: RateLimited, 500: RegistryUnavailable, 503: RegistryUnavailable, 204: RegistryUnavailable, 302: RegistryUnavailable,
	}
	for _, suffix := range []string{".sig", ""} {
		for code, want := range reasons {
			t.Run(fmt.Sprintf("%d at sha256-x%s", code, suffix), func(t *testing.T) {
				server := start(t, "distribution", testregistry.Options{})
				tag := "/v2/app/manifests/sha256-" + otherDigest[7:] + suffix
				server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.URL.Path == tag {
						w.WriteHeader(code)
						return
					}
					next.ServeHTTP(w, r)
				})
				found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), otherDigest)
				wantReason(t, err, want)
				if found != nil {
					t.Errorf("expected no signatures, found %d", len(found))
				}
			})
		}
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// A registry that answered a page of referrers has the API: an error on the
// second page is not the absence of signatures.
func TestReferrersOfASecondPage(t *testing.T) {
	page := testregistry.Respond(200, http.Header{
		"Content-Type": {"application/vnd.oci.image.index.v1+json"}, "Link": {`<?last=x>; rel="next"`},
	}, []byte(`{"manifests":[]}`))
	for _, code := range []int{400, 404, 406, 500} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindReferrers, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Query().Has("last") {
					w.WriteHeader(code)
					return
				}
				page(w, r, next)
			}))
			p := newPool(t)
			_, err := client(t, p, server, "app").Signatures(t.Context(), otherDigest)
			wantReason(t, err, RegistryUnavailable)
			if client(t, p, server, "app").hasNoReferrers() {
				t.Error("a registry that has the API is remembered as one that has not")
			}
		})
	}
}

func TestPagesOfReferrersAreRead(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	digest := push(t, server, "app", "1.0.0", module.Options{})
	reference := server.Host() + "/app@" + digest
	for range 3 {
		if err := signing.SignBundle(t.Context(), reference, newKey(t)); err != nil {
			t.Fatal(err)
		}
	}
	server.Intercept(testregistry.On(http.MethodGet, testregistry.KindReferrers, onePerPage))
	server.Reset()
	found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), digest)
	if err != nil || len(found) != 3 {
		t.Errorf("expected 3 signatures, found %d, %v", len(found), err)
	}
	if n := server.Counts()["GET referrers"]; n != 3 {
		t.Errorf("expected 3 pages, found %d", n)
	}
}

// onePerPage splits the registry's list of referrers.
func onePerPage(w http.ResponseWriter, r *http.Request, next http.Handler) {
	n := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
	answer := recorded(r, next)
	var index struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	_ = json.Unmarshal(answer, &index)
	slices.SortFunc(index.Manifests, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	if n+1 < len(index.Manifests) {
		w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, n+1))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "manifests": index.Manifests[n : n+1]})
}

func TestReferrersAreBounded(t *testing.T) {
	header := func(more ...string) http.Header {
		h := http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}}
		if len(more) > 0 {
			h["Link"] = more
		}
		return h
	}
	other := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/spdx+json","digest":"` + otherDigest + `","size":2}`
	listed := func(n int, artifactType string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":%q,"digest":"sha256:%064x","size":2}`, artifactType, i))
		}
		return `{"manifests":[` + strings.Join(all, ",") + `]}`
	}
	tests := map[string]struct {
		header   http.Header
		body     string
		reason   Reason
		requests int
	}{
		"pages without end":        {header(`<?last=x>; rel="next"`), `{"manifests":[` + other + `]}`, TooManySignatures, maxReferrerPages},
		"descriptors without end":  {header(`<?last=x>; rel="next"`), listed(10_000, "application/spdx+json"), TooManySignatures, 3},
		"a link elsewhere":         {header(`<http://127.0.0.1:1/v2/app/referrers/x>; rel="next"`), `{"manifests":[` + other + `]}`, RegistryUnavailable, 1},
		"10,000 of something else": {header(), listed(10_000, "application/spdx+json"), "", 1},
		"10,000 bundles":           {header(), listed(10_000, "application/vnd.dev.sigstore.bundle.v0.3+json"), TooManySignatures, 1},
		"one more than are judged": {header(), listed(verify.MaxSignatures+1, ""), TooManySignatures, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(testregistry.On(http.MethodGet, testregistry.KindReferrers, testregistry.Respond(200, tt.header, []byte(tt.body))))
			found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), otherDigest)
			wantReason(t, err, tt.reason)
			if len(found) != 0 {
				t.Errorf("expected no signatures, found %d", len(found))
			}
			if n := server.Counts()["GET referrers"]; n != tt.requests {
				t.Errorf("expected %d pages, found %d", tt.requests, n)
			}
			if n := server.Counts()["GET blobs"]; n != 0 {
				t.Errorf("expected no blobs, found %d", n)
			}
		})
	}
}

func TestIsCandidate(t *testing.T) {
	const imageManifest, bundle = "application/vnd.oci.image.manifest.v1+json", "application/vnd.dev.sigstore.bundle.v0.3+json"
	predicate := func(value string) json.RawMessage {
		return json.RawMessage(`{"dev.sigstore.bundle.predicateType":` + value + `}`)
	}
	tests := map[string]struct {
		d    descriptor
		want bool
	}{
		"a bundle":                         {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: otherDigest}, true},
		"a bundle of an older version":     {descriptor{MediaType: imageManifest, ArtifactType: "application/vnd.dev.sigstore.bundle+json;version=0.2", Digest: otherDigest}, true},
		"no artifact type":                 {descriptor{MediaType: imageManifest, Digest: otherDigest}, true},
		"the empty config's":               {descriptor{MediaType: imageManifest, ArtifactType: emptyConfigMediaType, Digest: otherDigest}, true},
		"another artifact type":            {descriptor{MediaType: imageManifest, ArtifactType: "application/spdx+json", Digest: otherDigest}, false},
		"an index":                         {descriptor{MediaType: "application/vnd.oci.image.index.v1+json", ArtifactType: bundle, Digest: otherDigest}, false},
		"no digest":                        {descriptor{MediaType: imageManifest, ArtifactType: bundle}, false},
		"a digest that goes up":            {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: "../../other/manifests/latest"}, false},
		"a signature, says its annotation": {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: otherDigest, Annotations: predicate(`"https://sigstore.dev/cosign/sign/v1"`)}, true},
		"an attestation":                   {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: otherDigest, Annotations: predicate(`"https://slsa.dev/provenance/v1"`)}, false},
		"an annotation of a wrong type":    {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: otherDigest, Annotations: predicate(`{}`)}, true},
		"annotations of a wrong type":      {descriptor{MediaType: imageManifest, ArtifactType: bundle, Digest: otherDigest, Annotations: json.RawMessage(`[1]`)}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if found := isCandidate(tt.d); found != tt.want {
				t.Errorf("expected %t, found %t", tt.want, found)
			}
		})
	}
}

// answers is a registry that holds what a test puts into it, by the path below
// the repository; everything else is not found.
type answers map[string]string

func (a answers) intercept(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	if r.URL.Path == "/v2/" {
		return
	}
	body, ok := a[strings.TrimPrefix(r.URL.Path, "/v2/app/")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if strings.Contains(r.URL.Path, "/referrers/") {
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	_, _ = w.Write([]byte(body))
}

// put adds content under its digest, and returns a descriptor of it.
func (a answers) put(kind, mediaType, content string) map[string]any {
	digest := digestOf([]byte(content))
	a[kind+"/"+digest] = content
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

func with(d map[string]any, key string, value any) map[string]any {
	d = maps.Clone(d)
	d[key] = value
	return d
}

func manifestOf(layers ...map[string]any) string {
	if layers == nil {
		layers = []map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "layers": layers})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func indexOf(manifests ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": manifests})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What may stand where signatures are looked for. A signature that cannot be
// read is one, which is judged; what cannot be pulled is an error.
func TestSignaturesThatAreStrange(t *testing.T) {
	const imageManifest, bundleType = "application/vnd.oci.image.manifest.v1+json", "application/vnd.dev.sigstore.bundle.v0.3+json"
	sig, referrers := "manifests/sha256-"+otherDigest[7:]+".sig", "referrers/"+otherDigest
	tests := map[string]struct {
		prepare func(a answers)
		want    map[verify.Format]int
		reason  Reason
	}{
		"nothing":                         {func(answers) {}, map[verify.Format]int{}, ""},
		".sig is no JSON":                 {func(a answers) { a[sig] = "<html>" }, map[verify.Format]int{verify.FormatCosign: 1}, ""},
		".sig is nested deep":             {func(a answers) { a[sig] = `{"layers":` + nested(100_000) + `}` }, map[verify.Format]int{verify.FormatCosign: 1}, ""},
		".sig has layers of a wrong type": {func(a answers) { a[sig] = `{"layers":[1]}` }, map[verify.Format]int{verify.FormatCosign: 1}, ""},
		".sig is an index":                {func(a answers) { a[sig] = `{"manifests":[]}` }, map[verify.Format]int{}, ""},
		".sig is too large":               {func(a answers) { a[sig] = strings.Repeat(" ", maxManifestBytes+1) }, nil, RegistryUnavailable},
		".sig has layers of something else": {func(a answers) {
			a[sig] = manifestOf(a.put("blobs", "application/octet-stream", "x"))
		}, map[verify.Format]int{}, ""},
		".sig names a blob that is not there": {func(a answers) {
			d := a.put("blobs", simpleSigningMediaType, "x")
			clear(a)
			a[sig] = manifestOf(d)
		}, nil, RegistryUnavailable},
		".sig names no blob": {func(a answers) {
			a[sig] = manifestOf(map[string]any{"mediaType": simpleSigningMediaType, "digest": "../latest", "size": 1})
		}, map[verify.Format]int{verify.FormatCosign: 1}, ""},
		".sig has a negative size": {func(a answers) {
			a[sig] = manifestOf(with(a.put("blobs", simpleSigningMediaType, "x"), "size", -1))
		}, map[verify.Format]int{verify.FormatCosign: 1}, ""},
		".sig has a size that is too large": {func(a answers) {
			a[sig] = manifestOf(with(a.put("blobs", simpleSigningMediaType, "x"), "size", maxSignatureBytes+1))
		}, nil, TooManySignatures},
		".sig has a size that overflows": {func(a answers) {
			a[sig] = manifestOf(with(a.put("blobs", simpleSigningMediaType, "x"), "size", int64(1)<<62), with(a.put("blobs", simpleSigningMediaType, "y"), "size", int64(1)<<62))
		}, nil, TooManySignatures},
		".sig has a wrong size": {func(a answers) {
			a[sig] = manifestOf(with(a.put("blobs", simpleSigningMediaType, "xyz"), "size", 2))
		}, nil, RegistryUnavailable},
		".sig has annotations of any type": {func(a answers) {
			d := a.put("blobs", simpleSigningMediaType, "x")
			a[sig] = manifestOf(with(d, "annotations", 1), with(d, "annotations", []int{1}), with(d, "annotations", map[string]any{"a": 1}), d)
		}, map[verify.Format]int{verify.FormatCosign: 4}, ""},
		"signatures that are too large together": {func(a answers) {
			var layers []map[string]any
			for i := range 9 {
				layers = append(layers, a.put("blobs", simpleSigningMediaType, strings.Repeat(string(rune('a'+i)), maxSignatureBytes)))
			}
			a[sig] = manifestOf(layers...)
		}, nil, TooManySignatures},
		"as many as are judged": {func(a answers) {
			a[sig] = manifestOf(slices.Repeat([]map[string]any{a.put("blobs", simpleSigningMediaType, "x")}, verify.MaxSignatures)...)
		}, map[verify.Format]int{verify.FormatCosign: verify.MaxSignatures}, ""},
		"one more than are judged, of both formats": {func(a answers) {
			a[sig] = manifestOf(slices.Repeat([]map[string]any{a.put("blobs", simpleSigningMediaType, "x")}, verify.MaxSignatures)...)
			a[referrers] = indexOf(a.put("manifests", imageManifest, manifestOf(a.put("blobs", bundleType, "{}"))))
		}, nil, TooManySignatures},
		"one more than are judged, in one manifest of bundles": {func(a answers) {
			a[referrers] = indexOf(a.put("manifests", imageManifest, manifestOf(slices.Repeat([]map[string]any{a.put("blobs", bundleType, "{}")}, verify.MaxSignatures+1)...)))
		}, nil, TooManySignatures},
		"a referrer that is not there": {func(a answers) {
			d := a.put("manifests", imageManifest, "{}")
			clear(a)
			a[referrers] = indexOf(d)
		}, nil, RegistryUnavailable},
		"a referrer that is listed twice": {func(a answers) {
			d := a.put("manifests", imageManifest, manifestOf(a.put("blobs", bundleType, "{}")))
			a[referrers] = indexOf(d, d)
		}, map[verify.Format]int{verify.FormatBundle: 1}, ""},
		"a referrer that is no manifest": {func(a answers) {
			a[referrers] = indexOf(a.put("manifests", imageManifest, "<html>"))
		}, map[verify.Format]int{}, ""},
		"a referrer that is nested deep": {func(a answers) {
			a[referrers] = indexOf(a.put("manifests", imageManifest, `{"layers":`+nested(100_000)+`}`))
		}, map[verify.Format]int{}, ""},
		"a referrer that is the artifact": {func(a answers) {
			a["manifests/"+otherDigest] = "{}" // Of other bytes.
			a[referrers] = indexOf(map[string]any{"mediaType": imageManifest, "digest": otherDigest, "size": 2})
		}, nil, RegistryUnavailable},
		"an attestation that only its manifest names": {func(a answers) {
			m := `{"annotations":{"dev.sigstore.bundle.predicateType":"https://slsa.dev/provenance/v1"},` + manifestOf(a.put("blobs", bundleType, "{}"))[1:]
			a[referrers] = indexOf(a.put("manifests", imageManifest, m))
		}, map[verify.Format]int{}, ""},
		"a bundle that is too large": {func(a answers) {
			a[referrers] = indexOf(a.put("manifests", imageManifest, manifestOf(with(a.put("blobs", bundleType, "{}"), "size", maxSignatureBytes+1))))
		}, nil, TooManySignatures},
		"a fallback index that is none": {func(a answers) {
			a["manifests/sha256-"+otherDigest[7:]] = "<html>"
		}, map[verify.Format]int{verify.FormatBundle: 1}, ""},
		"a fallback index that is nested deep": {func(a answers) {
			a["manifests/sha256-"+otherDigest[7:]] = `{"manifests":` + nested(100_000) + `}`
		}, map[verify.Format]int{verify.FormatBundle: 1}, ""},
		"a fallback index that lists itself": {func(a answers) {
			// Its own digest cannot stand in it; one that lists another index can.
			inner := a.put("manifests", imageManifest, `{"manifests":[]}`)
			a["manifests/sha256-"+otherDigest[7:]] = indexOf(inner)
		}, map[verify.Format]int{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answers{}
			tt.prepare(a)
			server := start(t, "referrers", testregistry.Options{})
			server.Intercept(a.intercept)
			found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), otherDigest)
			wantReason(t, err, tt.reason)
			if tt.reason != "" && found != nil {
				t.Errorf("expected nothing with an error, found %d signatures", len(found))
			}
			if tt.reason == "" {
				if diff := cmp.Diff(tt.want, formats(found)); diff != "" {
					t.Errorf("signatures (-expected +found):\n%s", diff)
				}
			}
		})
	}
}

// Registries list referrers in any order; what is judged does not depend on it.
func TestOrderOfBundles(t *testing.T) {
	var orders [][]verify.Signature
	for _, turned := range []bool{false, true} {
		a := answers{}
		var referrers []map[string]any
		for i := range 5 {
			bundle := a.put("blobs", "application/vnd.dev.sigstore.bundle.v0.3+json", fmt.Sprintf("{%d}", i))
			referrers = append(referrers, a.put("manifests", "application/vnd.oci.image.manifest.v1+json", manifestOf(bundle)))
		}
		if turned {
			slices.Reverse(referrers)
		}
		a["referrers/"+otherDigest] = indexOf(referrers...)
		server := start(t, "referrers", testregistry.Options{})
		server.Intercept(a.intercept)
		found, err := client(t, newPool(t), server, "app").Signatures(t.Context(), otherDigest)
		if err != nil || len(found) != 5 {
			t.Fatalf("expected 5 signatures, found %d, %v", len(found), err)
		}
		orders = append(orders, found)
	}
	if diff := cmp.Diff(orders[0], orders[1]); diff != "" {
		t.Errorf("another order (-as listed +turned around):\n%s", diff)
	}
}

func TestSignaturesOfWhatIsNoDigest(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	for _, digest := range []string{"", "latest", "sha256:" + strings.Repeat("AB", 32), otherDigest + "/../x"} {
		if _, err := client(t, newPool(t), server, "app").Signatures(t.Context(), digest); err == nil {
			t.Errorf("%q: expected an error", digest)
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("expected no request, found %d", n)
	}
}
