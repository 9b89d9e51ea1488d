package story

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// The places where the controller asks a registry for something, on its way to
// a published artifact.
const (
	atPing           = "ping"
	atToken          = "token"
	atHead           = "head"
	atTags           = "tags"
	atTag            = "manifest by tag"
	atCosignManifest = "Cosign manifest"
	atReferrers      = "referrers"
	atFallbackTag    = "fallback tag"
	atBundleManifest = "bundle manifest"
	atSignatureBlob  = "signature blob" // a payload, or a bundle
	atModuleManifest = "module manifest"
	atLayer          = "layer " // and its index
)

// victim is one ModuleSource, with a repository of its own by the same name.
type victim struct {
	*world
	name   string
	digest string   // of what is signed
	layers []string // its layers' digests
}

// place names what a request is for.
func (v *victim) place(r *http.Request) string {
	kind := registry.Request{Path: r.URL.Path}.Kind()
	reference := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch {
	case kind == registry.KindBlobs:
		if i := slices.Index(v.layers, reference); i >= 0 {
			return atLayer + strconv.Itoa(i)
		}
		return atSignatureBlob
	case kind != registry.KindManifests:
		return kind
	case r.Method == http.MethodHead:
		return atHead
	case strings.HasSuffix(reference, ".sig"):
		return atCosignManifest
	case strings.HasPrefix(reference, "sha256-"):
		return atFallbackTag
	case reference == v.digest:
		return atModuleManifest
	case strings.HasPrefix(reference, "sha256:"):
		return atBundleManifest
	default:
		return atTag
	}
}

// pushImage pushes an image as the victim's 1.0.0.
func (v *victim) pushImage(o module.RawOptions) {
	v.t.Helper()
	image, err := module.Raw(o)
	v.took(image, err)
}

func (v *victim) pushModule(content string) {
	v.t.Helper()
	image, err := module.New(module.Options{Version: "1.0.0", Files: map[string]string{"timoni.cue": content}})
	v.took(image, err)
}

func (v *victim) took(image v1.Image, err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	if v.digest, err = module.Push(background, v.repo(v.name)+":1.0.0", image); err != nil {
		v.t.Fatalf("%s: %v", v.name, err)
	}
	m, err := image.Manifest()
	if err != nil {
		v.t.Fatal(err)
	}
	v.layers = nil
	for _, l := range m.Layers {
		v.layers = append(v.layers, l.Digest.String())
	}
}

func (v *victim) signIn(format string) {
	v.t.Helper()
	for _, f := range []string{"cosign", "bundle"} {
		if format == f || format == "both" {
			v.sign(v.name, v.digest, f, v.key)
		}
	}
}

func (v *victim) reference() string { return v.repo(v.name) + "@" + v.digest }

// asked counts the controller's requests of a victim by place.
func (v *victim) asked(place string) int {
	n := 0
	for _, r := range v.registry.Requests() {
		request := httptest.NewRequest(r.Method, r.Path, nil)
		if strings.HasPrefix(r.Path, "/v2/"+v.name+"/") && v.place(request) == place {
			n++
		}
	}
	return n
}

// sabotage stands in front of a registry, and of each repository apart.
type sabotage struct {
	mu     sync.Mutex
	faults map[string]registry.Interceptor
}

func (s *sabotage) intercept(w http.ResponseWriter, r *http.Request, next http.Handler) {
	repo := ""
	if scope := strings.Split(r.URL.Query().Get("scope"), ":"); len(scope) == 3 {
		repo = scope[1]
	} else if parts := strings.Split(r.URL.Path, "/"); len(parts) > 3 {
		repo = parts[2]
	}
	s.mu.Lock()
	fault := s.faults[repo]
	s.mu.Unlock()
	if fault == nil || !byController(r) {
		next.ServeHTTP(w, r)
		return
	}
	fault(w, r, next)
}

func (s *sabotage) set(repo string, fault registry.Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[repo] = fault
}

// on applies a fault at one place of a victim's.
func (v *victim) on(place string, fault registry.Interceptor) registry.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if v.place(r) == place {
			fault(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// rewriting changes the body of an answer on its way.
func rewriting(change func([]byte) []byte) registry.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := change(answer.Body.Bytes())
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	}
}

// flipped changes one bit at a part of the way from the first byte (0) to the
// last one (1).
func flipped(part float64) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[int(part*float64(len(b)-1))] ^= 1
		return b
	}
}

// replaced changes the first occurrence of a text.
func replaced(before, after string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(before), []byte(after), 1) }
}

func instead(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }

func deep(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// zipped is a gzip stream.
func zipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

func unzipped(content []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return b
}

// smallArchive is a layer of one file.
func smallArchive() []byte {
	b, err := module.Archive(map[string]string{"file": "content"})
	if err != nil {
		panic(err)
	}
	return b
}

// Ways to spoil a layer behind the end of its tar archive, where a reader that
// stops early would not look.
var behindTheEnd = map[string]func([]byte) []byte{
	"bytes after the end of the tar": func(b []byte) []byte { return zipped(append(unzipped(b), "evil"...)) },
	"bytes after the gzip stream":    func(b []byte) []byte { return append(bytes.Clone(b), "evil"...) },
	"a zero after the gzip stream":   func(b []byte) []byte { return append(bytes.Clone(b), 0) },
	"a second gzip member":           func(b []byte) []byte { return append(bytes.Clone(b), zipped([]byte("evil"))...) },
	"a second archive":               func(b []byte) []byte { return append(bytes.Clone(b), b...) },
	"cut before the end":             func(b []byte) []byte { return b[:len(b)-1] },
	"cut in the middle":              func(b []byte) []byte { return b[:len(b)/2] },
	"a wrong checksum of the gzip":   flipped(1),
	"nothing at all":                 instead(nil),
}

// attack is what is done to one victim.
type attack struct {
	// prepare pushes and signs; signed is short for a module in a format.
	prepare func(v *victim)
	signed  string
	spec    func(v *victim, s *v1alpha1.ModuleSourceSpec)
	// fault is in front of the registry until it is healed.
	fault func(v *victim) registry.Interceptor
	// want are all conditions.
	want  map[string]string
	check func(v *victim)
	// heal is what else is needed; a new release where nil and prepare is set.
	heal func(v *victim)
}

// fetchFailed are the conditions when the digest is verified, and its content
// is not what was verified.
func fetchFailed(reason string) map[string]string {
	return but(unreachable(reason), "Verified", "True/SignatureVerified")
}

// notJudged are the conditions when there is too much to judge.
func notJudged(reason string) map[string]string {
	return but(unreachable(reason), "FetchFailed", "", "Ready", "Unknown/"+reason)
}

// underAttack makes a victim of each attack, all at once, of one controller,
// which must be none the worse for any of them.
func underAttack(t *testing.T, kind string, attacks map[string]attack) {
	w := newWorld(t, settings{
		kind: kind, registry: registry.Options{Auth: &registry.TokenAuth{}}, options: func(o *controllers.Options) { o.Concurrent = 32 },
	})
	front := &sabotage{faults: map[string]registry.Interceptor{}}
	w.registry.Intercept(front.intercept)
	victims := map[string]*victim{}
	for name, a := range attacks {
		v := &victim{world: w, name: fmt.Sprintf("victim-%d", len(victims))}
		victims[name] = v
		if a.prepare != nil {
			a.prepare(v)
		} else {
			v.pushModule("content")
		}
		v.signIn(a.signed)
		if a.fault != nil {
			front.set(v.name, a.fault(v))
		}
	}
	w.registry.Reset()
	for name, a := range attacks {
		v := victims[name]
		w.apply(v.name, w.spec(v.name, func(s *v1alpha1.ModuleSourceSpec) {
			s.Version = "1.0.0"
			if a.spec != nil {
				a.spec(v, s)
			}
		}))
	}
	for name, a := range attacks {
		v := victims[name]
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			v.world = w
			obj := w.settled(v.name)
			if diff := cmp.Diff(a.want, conditionsOf(obj)); diff != "" {
				t.Errorf("conditions (-expected +found):\n%s\n%s", diff, describe(obj))
			}
			if ready := is(obj, "Ready") == "True/SignatureVerified"; !ready && (obj.Status.Artifact != nil || obj.Status.Verification != nil) {
				t.Errorf("expected nothing to be published, found %+v", obj.Status.Artifact)
			}
			if files, err := filepath.Glob(filepath.Join(w.storage, "modulesource", w.namespace, v.name, "*")); err != nil || (len(files) != 0) != (obj.Status.Artifact != nil) {
				t.Errorf("expected files only of what is published, found %v, %v", files, err)
			}
			for _, c := range obj.Status.Conditions {
				w.checkMessage(c)
			}
			if a.check != nil {
				a.check(v)
			}

			front.set(v.name, nil)
			switch {
			case a.heal != nil:
				a.heal(v)
			case a.prepare != nil:
				v.pushModule("healed")
				v.signIn("both")
			}
			w.poll(v.name)
			healed := w.await(v.name, "it is healed", func(s *v1alpha1.ModuleSource) bool { return is(s, "Ready") == "True/SignatureVerified" })
			if diff := cmp.Diff(published(), conditionsOf(healed)); diff != "" {
				t.Errorf("healed: conditions (-expected +found):\n%s", diff)
			}
			if !strings.HasSuffix(healed.Status.Artifact.Revision, v.digest) {
				t.Errorf("healed: expected %s, found %s", v.digest, healed.Status.Artifact.Revision)
			}
		})
	}
	// And one that nobody attacks.
	w.release("witness", "1.0.0", "bundle")
	w.apply("witness", w.spec("witness", versioned("1.0.0")))
	w.ready("witness")
}

func conditionsOf(obj *v1alpha1.ModuleSource) map[string]string {
	found := map[string]string{}
	for _, c := range obj.Status.Conditions {
		found[c.Type] = is(obj, c.Type)
	}
	return found
}

func TestTamperedInFlight(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			elsewhere, err := registry.Referrers(registry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = elsewhere.Close() })
			attacks := map[string]attack{}
			at := func(place string, change func([]byte) []byte) func(*victim) registry.Interceptor {
				return func(v *victim) registry.Interceptor { return v.on(place, rewriting(change)) }
			}
			for name, part := range map[string]float64{"first": 0, "middle": 0.5, "last": 1} {
				change := flipped(part)
				attacks["layer, "+name+" byte"] = attack{signed: "cosign", fault: at(atLayer+"0", change), want: fetchFailed("RegistryUnavailable")}
				attacks["second layer, "+name+" byte"] = attack{signed: "bundle", fault: at(atLayer+"1", change), want: fetchFailed("RegistryUnavailable")}
				attacks["module manifest, "+name+" byte"] = attack{signed: "cosign", fault: at(atModuleManifest, change), want: fetchFailed("RegistryUnavailable")}
				attacks["payload, "+name+" byte"] = attack{signed: "cosign", fault: at(atSignatureBlob, change), want: unreachable("RegistryUnavailable")}
				attacks["bundle manifest, "+name+" byte"] = attack{signed: "bundle", fault: at(atBundleManifest, change), want: unreachable("RegistryUnavailable")}
				attacks["bundle, "+name+" byte"] = attack{signed: "bundle", fault: at(atSignatureBlob, change), want: unreachable("RegistryUnavailable")}
			}
			for name, change := range behindTheEnd {
				attacks["layer, "+name] = attack{signed: "both", fault: at(atLayer+"0", change), want: fetchFailed("RegistryUnavailable")}
			}
			attacks["layer, another archive"] = attack{signed: "both", fault: at(atLayer+"0", instead(smallArchive())), want: fetchFailed("RegistryUnavailable")}
			attacks["module manifest, another one"] = attack{
				signed: "both", fault: at(atModuleManifest, replaced(`"schemaVersion":2`, `"schemaVersion": 2`)), want: fetchFailed("RegistryUnavailable"),
			}

			// By its tag, the manifest of signatures has no digest to be compared
			// with: what is in it is judged.
			attacks["Cosign manifest, a signature"] = attack{signed: "cosign", fault: at(atCosignManifest, changedSignature), want: refused("KeyMismatch")}
			attacks["Cosign manifest, a digest"] = attack{
				signed: "cosign", fault: at(atCosignManifest, replacedDigest("layers")), want: unreachable("RegistryUnavailable"),
			}
			attacks["Cosign manifest, its end"] = attack{signed: "cosign", fault: at(atCosignManifest, flipped(1)), want: refused("SignatureInvalid")}
			attacks["Cosign manifest, nested deep"] = attack{
				signed: "cosign", fault: at(atCosignManifest, instead([]byte(`{"layers":`+deep(100_000)+`}`))), want: refused("SignatureInvalid"),
			}
			attacks["Cosign manifest, annotations nested deep"] = attack{
				signed: "cosign", fault: at(atCosignManifest, withLayerBefore(`{"dev.cosignproject.cosign/signature":`+deep(9_000)+`}`)), want: published(),
			}
			for i, annotations := range []string{
				`1`, `"text"`, `[]`, `null`, `{"dev.cosignproject.cosign/signature":1}`, `{"dev.cosignproject.cosign/signature":{}}`, `{"dev.cosignproject.cosign/signature":null}`,
				`{"dev.cosignproject.cosign/signature":"x","dev.sigstore.cosign/bundle":1,"dev.sigstore.cosign/certificate":[],"dev.sigstore.cosign/chain":{},"dev.sigstore.cosign/rfc3161timestamp":true}`,
			} {
				attacks[fmt.Sprintf("Cosign manifest, annotations of a wrong type %d beside a valid signature", i)] = attack{
					signed: "cosign", fault: at(atCosignManifest, withLayerBefore(annotations)), want: published(),
				}
			}
			attacks["the config is not asked for"] = attack{
				signed: "both", want: published(), check: func(v *victim) {
					if n := v.asked(atSignatureBlob); n != 2 {
						v.t.Errorf("expected two signatures to be asked for beside the layers, and not the config, found %d blobs", n)
					}
				},
			}

			// Listings.
			listing := map[string]string{"referrers": atReferrers, "distribution": atFallbackTag}[kind]
			attacks["listing of bundles, a digest"] = attack{signed: "bundle", fault: at(listing, replacedDigest("manifests")), want: unreachable("RegistryUnavailable")}
			attacks["listing of bundles, itself"] = attack{signed: "cosign", fault: listingItself(listing), want: published()}
			attacks["listing of bundles, 10,000 others"] = attack{signed: "cosign", fault: lists(listing, listed(10_000, "application/spdx+json")), want: published()}
			attacks["listing of bundles, 10,000 bundles"] = attack{
				signed: "cosign", fault: lists(listing, listed(10_000, "application/vnd.dev.sigstore.bundle.v0.3+json")), want: notJudged("TooManySignatures"),
			}
			nested := unreachable("RegistryUnavailable")
			if kind == "distribution" {
				nested = refused("SignatureInvalid") // As under Cosign's tag.
			}
			attacks["listing of bundles, nested deep"] = attack{signed: "bundle", fault: lists(listing, []byte(`{"manifests":`+deep(100_000)+`}`)), want: nested}
			if kind == "referrers" {
				page := func(link string) func(*victim) registry.Interceptor {
					return func(v *victim) registry.Interceptor {
						return v.on(atReferrers, linking(strings.ReplaceAll(link, "%s", elsewhere.Host()), `{"schemaVersion":2,"manifests":[]}`))
					}
				}
				attacks["referrers without end"] = attack{signed: "cosign", fault: page(`<?page=next>; rel="next"`), want: notJudged("TooManySignatures")}
				attacks["referrers, a link to another host"] = attack{signed: "cosign", fault: page(`<http://%s/v2/x/referrers/y>; rel="next"`), want: unreachable("RegistryUnavailable")}
			}
			ranged := func(_ *victim, s *v1alpha1.ModuleSourceSpec) { s.Version = "1.x" }
			tags := func(link string) func(*victim) registry.Interceptor {
				return func(v *victim) registry.Interceptor {
					return v.on(atTags, linking(strings.ReplaceAll(link, "%s", elsewhere.Host()), `{"tags":["1.0.0"]}`))
				}
			}
			attacks["tags without end"] = attack{signed: "cosign", spec: ranged, fault: tags(`<?last=1.0.0>; rel="next"`), want: unreachable("RegistryUnavailable")}
			attacks["tags, a link to another host"] = attack{signed: "cosign", spec: ranged, fault: tags(`<http://%s/v2/x/tags/list>; rel="next"`), want: unreachable("RegistryUnavailable")}
			attacks["tags nested deep"] = attack{
				signed: "cosign", spec: ranged, fault: at(atTags, instead([]byte(`{"tags":`+deep(100_000)+`}`))), want: unreachable("RegistryUnavailable"),
			}

			// What a tag or digest names.
			other := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`)
			attacks["HEAD names a digest that is not there"] = attack{signed: "both", fault: heads(sha256Of(other)), want: refused("NoSignature")}
			attacks["HEAD names no digest, GET answers another manifest"] = attack{
				signed: "both", fault: func(v *victim) registry.Interceptor {
					return chain(v.on(atHead, registry.Respond(http.StatusOK, nil, nil)), v.on(atTag, rewriting(instead(other))))
				}, want: refused("NoSignature"),
			}
			attacks["HEAD names what is no digest"] = attack{signed: "both", fault: heads("latest"), want: unreachable("RegistryUnavailable")}
			attacks["HEAD names another digest than the pin"] = attack{
				signed: "both", spec: func(v *victim, s *v1alpha1.ModuleSourceSpec) { s.Version, s.Digest = "", v.digest },
				fault: heads(sha256Of(other)), want: unreachable("RegistryUnavailable"),
			}
			attacks["HEAD and GET disagree"] = attack{signed: "both", fault: at(atModuleManifest, instead(other)), want: fetchFailed("RegistryUnavailable")}
			attacks["a tag that moves after the first request"] = attack{
				signed: "both", fault: afterTheFirst(sha256Of(other)), want: published(), check: func(v *victim) {
					if n := v.asked(atHead) + v.asked(atTag); n != 1 {
						v.t.Errorf("expected the tag to be resolved once, found %d requests", n)
					}
				},
			}
			underAttack(t, kind, attacks)
			if n := len(elsewhere.Requests()); n != 0 {
				t.Errorf("expected the other host to be left alone, found %d requests", n)
			}
		})
	}
}

// changedSignature changes one character of the first signature.
func changedSignature(b []byte) []byte {
	const key = `"dev.cosignproject.cosign/signature":"`
	b = bytes.Clone(b)
	i := bytes.Index(b, []byte(key)) + len(key) + 20
	if b[i]++; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", rune(b[i])) {
		b[i] = 'A'
	}
	return b
}

// replacedDigest changes one digit of the first digest behind a key.
func replacedDigest(key string) func([]byte) []byte {
	return func(b []byte) []byte {
		from := bytes.Index(b, []byte(`"`+key+`"`))
		return slices.Concat(b[:from], replacedDigitAfter("sha256:")(b[from:]))
	}
}

// withLayerBefore repeats the first layer of a manifest with other annotations,
// before the layers that there are.
func withLayerBefore(annotations string) func([]byte) []byte {
	return func(b []byte) []byte {
		var m map[string]json.RawMessage
		var layers []map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			panic(err)
		}
		if err := json.Unmarshal(m["layers"], &layers); err != nil {
			panic(err)
		}
		first := map[string]json.RawMessage{}
		for key, value := range layers[0] {
			first[key] = value
		}
		first["annotations"] = json.RawMessage(annotations)
		m["layers"], _ = json.Marshal(append([]map[string]json.RawMessage{first}, layers...))
		b, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		return b
	}
}

// listed is an index of n referrers that are not there.
func listed(n int, artifactType string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":%q,"digest":"sha256:%064x","size":2}`, artifactType, i)
	}
	b.WriteString("]}")
	return b.Bytes()
}

// lists answers with an index, whether there is one or not.
func lists(place string, index []byte) func(*victim) registry.Interceptor {
	return func(v *victim) registry.Interceptor {
		return v.on(place, registry.Respond(http.StatusOK, http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}}, index))
	}
}

// listingItself lists a manifest that lists another, which lists the first as
// far as digests allow it: by the artifact's own digest.
func listingItself(place string) func(*victim) registry.Interceptor {
	return func(v *victim) registry.Interceptor {
		index := func(digest string) []byte {
			return []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest + `","size":2}]}`)
		}
		inner := index(v.digest)
		return chain(lists(place, index(sha256Of(inner)))(v), v.on(atBundleManifest, registry.Respond(http.StatusOK, nil, inner)))
	}
}

// linking answers a page with a link to the next one.
func linking(link, body string) registry.Interceptor {
	return registry.Respond(http.StatusOK, http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}, "Link": {link}}, []byte(body))
}

// heads answers every HEAD request with a digest.
func heads(digest string) func(*victim) registry.Interceptor {
	return func(v *victim) registry.Interceptor {
		return v.on(atHead, registry.Respond(http.StatusOK, http.Header{"Docker-Content-Digest": {digest}}, nil))
	}
}

// afterTheFirst lets the first request for a tag pass, and answers the others
// with another digest.
func afterTheFirst(digest string) func(*victim) registry.Interceptor {
	return func(v *victim) registry.Interceptor {
		var mu sync.Mutex
		seen := 0
		moved := heads(digest)(v)
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			mu.Lock()
			if p := v.place(r); p == atHead || p == atTag {
				seen++
			}
			first := seen <= 1
			mu.Unlock()
			if first {
				next.ServeHTTP(w, r)
				return
			}
			moved(w, r, next)
		}
	}
}

// chain puts interceptors one behind the other.
func chain(first, second registry.Interceptor) registry.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		first(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { second(w, r, next) }))
	}
}

// What was changed where it is stored has a digest of its own, by which it is
// pulled; it is the signature that does not cover it.
func TestTamperedInStore(t *testing.T) {
	const config = `{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":null},"config":{}}`
	plain := func(o module.RawOptions) module.RawOptions {
		if o.Config == nil {
			o.ConfigMediaType, o.Config = module.FluxConfigMediaType, []byte(config)
		}
		if o.Layers == nil {
			o.Layers = []module.Layer{{MediaType: module.FluxContentMediaType, Content: smallArchive()}}
		}
		return o
	}
	// The original is signed; 1.0.0 is the changed one.
	changed := func(o module.RawOptions, then func(v *victim, original string)) func(*victim) {
		return func(v *victim) {
			v.pushImage(plain(module.RawOptions{}))
			v.signIn("both")
			original := v.reference()
			v.pushImage(plain(o))
			if v.reference() == original {
				v.t.Fatal("nothing was changed")
			}
			if then != nil {
				then(v, original)
			}
		}
	}
	copied := func(v *victim, original string) {
		if err := signing.CopySignature(background, original, v.reference()); err != nil {
			v.t.Fatal(err)
		}
	}
	changes := map[string]module.RawOptions{
		"layer":       {Layers: []module.Layer{{MediaType: module.FluxContentMediaType, Content: func() []byte { b, _ := module.Archive(map[string]string{"file": "Content"}); return b }()}}},
		"manifest":    {Annotations: map[string]string{"a": "b"}},
		"config":      {ConfigMediaType: module.FluxConfigMediaType, Config: []byte(strings.Replace(config, `"os":""`, `"os":"x"`, 1))},
		"config type": {ConfigMediaType: module.FluxConfigMediaType + "x", Config: []byte(config)},
	}
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			attacks := map[string]attack{}
			for name, o := range changes {
				attacks[name+" changed"] = attack{prepare: changed(o, nil), want: refused("NoSignature")}
				attacks[name+" changed, signatures copied"] = attack{prepare: changed(o, copied), want: refused("SignatureInvalid")}
			}
			attacks["signatures of another repository's module"] = attack{prepare: func(v *victim) {
				other := &victim{world: v.world, name: v.name + "-other"}
				other.pushModule("another")
				other.signIn("both")
				v.pushModule("content")
				copied(v, other.reference())
			}, want: refused("SignatureInvalid")}
			signature := func(change func(v *victim, s *signing.Signature)) func(*victim) {
				return func(v *victim) {
					v.pushModule("content")
					s, err := signing.NewSignature(v.reference(), v.key)
					if err != nil {
						v.t.Fatal(err)
					}
					change(v, &s)
					if err := signing.AttachCosign(background, v.reference(), []signing.Signature{s}); err != nil {
						v.t.Fatal(err)
					}
				}
			}
			bundle := func(statement func(v *victim) signing.Statement, change func([]byte) []byte, predicateType string) func(*victim) {
				return func(v *victim) {
					v.pushModule("content")
					b, err := signing.NewBundle(statement(v), v.key)
					if err != nil {
						v.t.Fatal(err)
					}
					if err := signing.AttachBundle(background, v.reference(), change(b), predicateType); err != nil {
						v.t.Fatal(err)
					}
				}
			}
			own := func(v *victim) signing.Statement { return signing.Statement{Digest: v.digest} }
			same := func(b []byte) []byte { return b }
			another := "sha256:" + strings.Repeat("ab", 32)

			attacks["signature changed"] = attack{prepare: signature(func(_ *victim, s *signing.Signature) {
				s.Base64 = string(changedSignature([]byte(`"dev.cosignproject.cosign/signature":"` + s.Base64)))[len(`"dev.cosignproject.cosign/signature":"`):]
			}), want: refused("KeyMismatch")}
			attacks["signature that is not base64"] = attack{prepare: signature(func(_ *victim, s *signing.Signature) { s.Base64 = "!" + s.Base64[1:] }), want: refused("SignatureInvalid")}
			attacks["payload changed"] = attack{prepare: signature(func(_ *victim, s *signing.Signature) { s.Payload = flipped(0.5)(s.Payload) }), want: refused("KeyMismatch")}
			attacks["payload of another digest"] = attack{prepare: func(v *victim) {
				v.pushModule("content")
				if err := signing.SignCosignOver(background, v.reference(), another, v.key); err != nil {
					v.t.Fatal(err)
				}
			}, want: refused("SignatureInvalid")}
			attacks["payload nested deep"] = attack{prepare: signature(func(_ *victim, s *signing.Signature) { s.Payload = []byte(deep(100_000)) }), want: refused("KeyMismatch")}
			attacks["bundle of another digest"] = attack{prepare: bundle(func(*victim) signing.Statement { return signing.Statement{Digest: another} }, same, signing.SignPredicateType), want: refused("SignatureInvalid")}
			attacks["bundle, its signature changed"] = attack{prepare: bundle(own, changedAfter(`"sig":"`), signing.SignPredicateType), want: refused("KeyMismatch")}
			attacks["bundle, its payload made unreadable"] = attack{prepare: bundle(own, changedAfter(`"payload":"`), signing.SignPredicateType), want: refused("SignatureInvalid")}
			attacks["bundle, its payload changed"] = attack{prepare: bundle(own, changedStatement, signing.SignPredicateType), want: refused("KeyMismatch")}
			attacks["bundle of another digest, its payload changed to this one"] = attack{prepare: func(v *victim) {
				bundle(func(*victim) signing.Statement { return signing.Statement{Digest: another} }, func(b []byte) []byte {
					return restated(b, func(statement []byte) []byte {
						return bytes.ReplaceAll(statement, []byte(another[7:]), []byte(v.digest[7:]))
					})
				}, signing.SignPredicateType)(v)
			}, want: refused("KeyMismatch")}
			attacks["bundle, its end changed"] = attack{prepare: bundle(own, flipped(1), signing.SignPredicateType), want: refused("SignatureInvalid")}
			attacks["bundle nested deep"] = attack{prepare: bundle(own, instead([]byte(deep(100_000))), signing.SignPredicateType), want: refused("SignatureInvalid")}
			attacks["bundle nested deep in a field"] = attack{prepare: bundle(own, replaced(`"verificationMaterial":`, `"x":`+deep(100_000)+`,"verificationMaterial":`), signing.SignPredicateType), want: refused("SignatureInvalid")}
			attacks["attestation that its manifest calls a signature"] = attack{prepare: bundle(func(v *victim) signing.Statement {
				return signing.Statement{Digest: v.digest, PredicateType: "https://slsa.dev/provenance/v1"}
			}, same, signing.SignPredicateType), want: refused("NoSignature")}
			// The manifest around a bundle is not what is signed.
			attacks["signature that its manifest calls an attestation"] = attack{prepare: bundle(own, same, "https://slsa.dev/provenance/v1"), want: refused("NoSignature")}

			// Signed content that is hostile, or whose manifest lies about it.
			signedLayer := func(layer []byte, edit func(*v1.Manifest)) func(*victim) {
				return func(v *victim) {
					v.pushImage(plain(module.RawOptions{Layers: []module.Layer{{MediaType: module.FluxContentMediaType, Content: layer}}, Edit: edit}))
					v.signIn("both")
				}
			}
			for name, change := range behindTheEnd {
				attacks["signed layer, "+name] = attack{prepare: signedLayer(change(smallArchive()), nil), want: unpublishable("ArtifactInvalid")}
			}
			attacks["signed layer that is a bomb"] = attack{prepare: signedLayer(zipped(make([]byte, 64<<20)), nil), want: unpublishable("ArtifactTooLarge")}
			bomb, err := module.Archive(map[string]string{"file": strings.Repeat("\x00", 32<<20)})
			if err != nil {
				t.Fatal(err)
			}
			attacks["signed layer that is a bomb in a tar"] = attack{prepare: signedLayer(bomb, nil), want: unpublishable("ArtifactTooLarge")}
			attacks["signed layer of 10 GB, says its manifest"] = attack{
				prepare: signedLayer(smallArchive(), func(m *v1.Manifest) { m.Layers[0].Size = 10 << 30 }), want: unpublishable("ArtifactTooLarge"),
				check: func(v *victim) {
					if n := v.asked(atLayer + "0"); n != 0 {
						v.t.Errorf("expected the layer not to be asked for, found %d requests", n)
					}
				},
			}
			attacks["signed layer, a byte longer than its manifest says"] = attack{prepare: signedLayer(smallArchive(), func(m *v1.Manifest) { m.Layers[0].Size-- }), want: fetchFailed("RegistryUnavailable")}
			attacks["signed layer, a byte shorter than its manifest says"] = attack{prepare: signedLayer(smallArchive(), func(m *v1.Manifest) { m.Layers[0].Size++ }), want: fetchFailed("RegistryUnavailable")}
			attacks["signed manifest nested deep"] = attack{
				prepare: func(v *victim) {
					v.pushModule("content")
					v.digest = sha256Of(deepManifest)
					v.signIn("cosign")
				},
				fault: func(v *victim) registry.Interceptor {
					return chain(heads(v.digest)(v), v.on(atModuleManifest, registry.Respond(http.StatusOK, nil, deepManifest)))
				},
				want: unpublishable("ArtifactInvalid"),
			}
			underAttack(t, kind, attacks)
		})
	}
}

var deepManifest = []byte(`{"schemaVersion":2,"layers":` + deep(100_000) + `}`)

// changedAfter changes a character of the text behind a mark.
func changedAfter(mark string) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		i := bytes.Index(b, []byte(mark)) + len(mark) + 20
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		return b
	}
}

// changedStatement changes a digit of the digest that a bundle's statement
// names, and leaves everything else readable.
func changedStatement(bundle []byte) []byte {
	return restated(bundle, replacedDigitAfter(`"sha256":"`))
}

func replacedDigitAfter(mark string) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		i := bytes.Index(b, []byte(mark)) + len(mark) + 5
		if b[i] == '0' {
			b[i] = '1'
		} else {
			b[i] = '0'
		}
		return b
	}
}

// restated changes the statement in a bundle.
func restated(bundle []byte, change func([]byte) []byte) []byte {
	const mark = `"payload":"`
	from := bytes.Index(bundle, []byte(mark)) + len(mark)
	to := from + bytes.IndexByte(bundle[from:], '"')
	statement, err := base64.StdEncoding.DecodeString(string(bundle[from:to]))
	if err != nil {
		panic(err)
	}
	return slices.Concat(bundle[:from], []byte(base64.StdEncoding.EncodeToString(change(statement))), bundle[to:])
}

// hangs is the timeout of attempts that end with it: long enough for what comes
// before, and shorter than what makes a registry one that gets one worker.
const hangs = 4 * time.Second

// Whatever answers to whatever request: it is never "not signed".
func TestFaultsAtEveryRequest(t *testing.T) {
	faults := map[string]struct {
		answer registry.Interceptor
		reason string
	}{
		"401":                  {registry.Respond(401, nil, nil), "AuthenticationFailed"},
		"401 with a challenge": {registry.Respond(401, http.Header{"Www-Authenticate": {`Bearer realm="http://127.0.0.1:1/token"`}}, nil), "AuthenticationFailed"},
		"403":                  {registry.Respond(403, nil, nil), "AuthenticationFailed"},
		"429":                  {registry.Respond(429, nil, nil), "RateLimited"},
		"500":                  {registry.Respond(500, nil, nil), "RegistryUnavailable"},
		"503":                  {registry.Respond(503, nil, []byte("<html>")), "RegistryUnavailable"},
		"hang":                 {registry.Hang, "RegistryUnavailable"},
		"abort":                {registry.Abort, "RegistryUnavailable"},
	}
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			places := []struct{ place, format string }{
				{atToken, "both"}, {atHead, "both"}, {atTags, "both"}, {atCosignManifest, "both"}, {atSignatureBlob, "cosign"}, {atSignatureBlob, "bundle"},
				{atBundleManifest, "both"}, {atModuleManifest, "both"}, {atLayer + "0", "both"}, {atLayer + "1", "both"},
				{map[string]string{"referrers": atReferrers, "distribution": atFallbackTag}[kind], "both"},
			}
			attacks := map[string]attack{}
			for _, p := range places {
				for name, fault := range faults {
					want := unreachable(fault.reason)
					if p.place == atModuleManifest || strings.HasPrefix(p.place, atLayer) {
						want = fetchFailed(fault.reason)
					}
					attacks[p.place+", "+p.format+": "+name] = attack{
						signed: p.format, want: want,
						fault: func(v *victim) registry.Interceptor { return v.on(p.place, fault.answer) },
						spec: func(_ *victim, s *v1alpha1.ModuleSourceSpec) {
							if p.place == atTags {
								s.Version = "1.x"
							}
							if name == "hang" {
								s.Timeout = metav1.Duration{Duration: hangs}
							}
						},
					}
				}
			}
			underAttack(t, kind, attacks)
		})
	}
}

// The ping belongs to no repository: one fault after the other.
func TestFaultsAtThePing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	faults := map[string]struct {
		answer registry.Interceptor
		reason string
	}{
		"unauthorized-without-a-way": {registry.Respond(401, nil, nil), "AuthenticationFailed"},
		"forbidden":                  {registry.Respond(403, nil, nil), "AuthenticationFailed"},
		"rate-limited":               {registry.Respond(429, nil, nil), "RateLimited"},
		"internal-error":             {registry.Respond(500, nil, nil), "RegistryUnavailable"},
		"not-found":                  {registry.Respond(404, nil, nil), "RegistryUnavailable"},
		"hang":                       {registry.Hang, "RegistryUnavailable"},
		"abort":                      {registry.Abort, "RegistryUnavailable"},
		"a-token-server-elsewhere":   {registry.Respond(401, http.Header{"Www-Authenticate": {`Bearer realm="http://169.254.169.254/token"`}}, nil), "RegistryUnavailable"},
	}
	for name, fault := range faults {
		w.release(name, "1.0.0", "cosign")
		w.registry.Intercept(registry.On(http.MethodGet, registry.KindPing, fault.answer))
		w.apply(name, w.spec(name, func(s *v1alpha1.ModuleSourceSpec) {
			s.Version, s.Timeout = "1.0.0", metav1.Duration{Duration: hangs}
		}))
		obj := w.settled(name)
		want := unreachable(fault.reason)
		if name == "unauthorized-without-a-way" {
			want = published() // The registry asks for nothing after all.
		}
		if diff := cmp.Diff(want, conditionsOf(obj)); diff != "" {
			t.Errorf("%s: conditions (-expected +found):\n%s\n%s", name, diff, describe(obj))
		}
		w.registry.Intercept(nil)
		w.poll(name)
		w.ready(name)
	}
}
