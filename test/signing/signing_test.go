package signing_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(registry.DistributionGoroutine))
}

// each runs a test against both kinds of registry.
func each(t *testing.T, o registry.Options, test func(*testing.T, *registry.Server)) {
	t.Helper()
	for kind, start := range map[string]func(registry.Options) (*registry.Server, error){
		"distribution": registry.Distribution,
		"referrers":    registry.Referrers,
	} {
		t.Run(kind, func(t *testing.T) {
			server, err := start(o)
			if err != nil {
				t.Fatalf("starting the registry: %v", err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Errorf("closing the registry: %v", err)
				}
			})
			test(t, server)
		})
	}
}

// push pushes a module of this version and returns its reference by digest.
func push(t *testing.T, server *registry.Server, version string, opts ...remote.Option) string {
	t.Helper()
	image, err := module.New(module.Options{Version: version})
	if err != nil {
		t.Fatalf("making a module: %v", err)
	}
	digest, err := module.Push(t.Context(), server.Host()+"/app:"+version, image, opts...)
	if err != nil {
		t.Fatalf("pushing a module: %v", err)
	}
	return server.Host() + "/app@" + digest
}

func newKey(t *testing.T, kind signing.Kind) *signing.Key {
	t.Helper()
	key, err := signing.NewKey(kind)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return key
}

func using(t *testing.T, key *signing.Key, scheme signing.Scheme) *signing.Key {
	t.Helper()
	other, err := key.Using(scheme)
	if err != nil {
		t.Fatalf("scheme %s: %v", scheme, err)
	}
	return other
}

func parse(t *testing.T, reference string) name.Digest {
	t.Helper()
	ref, err := name.NewDigest(reference)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func checkOpts(verifier signature.Verifier) *cosign.CheckOpts {
	return &cosign.CheckOpts{
		SigVerifier:     verifier,
		ClaimVerifier:   cosign.SimpleClaimVerifier,
		IgnoreTlog:      true,
		Offline:         true,
		TrustedMaterial: &root.BaseTrustedMaterial{},
	}
}

// verifyCosign counts the signatures that `cosign verify` would accept.
func verifyCosign(ctx context.Context, ref name.Digest, verifier signature.Verifier) (int, error) {
	o := checkOpts(verifier)
	o.TrustedMaterial = nil // a key needs none in this format
	accepted, _, err := cosign.VerifyImageSignatures(ctx, ref, o)
	return len(accepted), err
}

// verifyBundle counts the bundles that cosign accepts, whatever their predicate
// type. Its function for signatures does not know bundles in v2.6.
func verifyBundle(ctx context.Context, ref name.Digest, verifier signature.Verifier) (int, error) {
	o := checkOpts(verifier)
	o.NewBundleFormat = true
	accepted, _, err := cosign.VerifyImageAttestations(ctx, ref, o)
	return len(accepted), err
}

type signFunc func(context.Context, string, *signing.Key, ...remote.Option) error

type verifyFunc func(context.Context, name.Digest, signature.Verifier) (int, error)

// formats are both formats.
var formats = map[string]struct {
	sign   signFunc
	verify verifyFunc
}{
	"cosign": {signing.SignCosign, verifyCosign},
	"bundle": {signing.SignBundle, verifyBundle},
}

func TestCosignAcceptsWhatWeSign(t *testing.T) {
	keys := map[signing.Kind]*signing.Key{}
	for _, kind := range signing.Kinds() {
		keys[kind] = newKey(t, kind)
	}
	stranger := newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		for format, f := range formats {
			for kind, key := range keys {
				t.Run(format+"/"+string(kind), func(t *testing.T) {
					ref := push(t, server, "1.0.0-"+format+"-"+string(kind))
					if err := f.sign(t.Context(), ref, key); err != nil {
						t.Fatalf("signing: %v", err)
					}
					if n, err := f.verify(t.Context(), parse(t, ref), key.Verifier()); n != 1 || err != nil {
						t.Errorf("our key: %d accepted, %v; want 1", n, err)
					}
					if n, err := f.verify(t.Context(), parse(t, ref), stranger.Verifier()); err == nil {
						t.Errorf("another key: %d accepted", n)
					}
				})
			}
		}
	})
}

// TestSchemes checks which verifiers accept what each scheme signs, in memory.
func TestSchemes(t *testing.T) {
	const reference = "registry.example/app@sha256:" + someHex
	sha256 := func(key *signing.Key) (signature.Verifier, error) {
		return signature.LoadVerifier(public(t, key), crypto.SHA256) // cosign verify's default; pure for Ed25519
	}
	cosignDefault := func(key *signing.Key) (signature.Verifier, error) {
		return signature.LoadDefaultVerifier(public(t, key), *cosign.GetDefaultLoadOptions(nil)...)
	}
	tests := map[string]struct {
		kind          signing.Kind
		scheme        signing.Scheme
		sha256, equal bool // accepted with SHA-256 or pure Ed25519; with cosign's signing default
	}{
		"RSA":       {signing.RSA3072, signing.CosignDefault, true, true},
		"P256":      {signing.ECDSAP256, signing.CosignDefault, true, true},
		"P384":      {signing.ECDSAP384, signing.CosignDefault, false, true},
		"P384Older": {signing.ECDSAP384, signing.SHA256, true, false},
		"P521":      {signing.ECDSAP521, signing.CosignDefault, false, true},
		"P521Older": {signing.ECDSAP521, signing.SHA256, true, false},
		"Ed25519ph": {signing.Ed25519, signing.CosignDefault, false, true},
		"Ed25519":   {signing.Ed25519, signing.PureEd25519, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			key := using(t, newKey(t, tt.kind), tt.scheme)
			signed, err := signing.NewSignature(reference, key)
			if err != nil {
				t.Fatalf("signing: %v", err)
			}
			for verifier, want := range map[string]struct {
				load   func(*signing.Key) (signature.Verifier, error)
				accept bool
			}{
				"sha256":  {sha256, tt.sha256},
				"default": {cosignDefault, tt.equal},
				"own":     {func(k *signing.Key) (signature.Verifier, error) { return k.Verifier(), nil }, true},
			} {
				v, err := want.load(key)
				if err != nil {
					t.Fatalf("loading the verifier %s: %v", verifier, err)
				}
				if err := verifyPayload(t, v, signed); (err == nil) != want.accept {
					t.Errorf("verifier %s: error %v, want acceptance: %t", verifier, err, want.accept)
				}
			}
		})
	}
}

const someHex = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func public(t *testing.T, key *signing.Key) crypto.PublicKey {
	t.Helper()
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(key.PublicPEM())
	if err != nil {
		t.Fatalf("reading the public key: %v", err)
	}
	return pub
}

func verifyPayload(t *testing.T, verifier signature.Verifier, s signing.Signature) error {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil {
		t.Fatalf("decoding the signature: %v", err)
	}
	return verifier.VerifySignature(strings.NewReader(string(raw)), strings.NewReader(string(s.Payload)))
}

func TestSchemesThatDoNotFit(t *testing.T) {
	tests := map[string]struct {
		kind   signing.Kind
		scheme signing.Scheme
	}{
		"SHA256OfEd25519":  {signing.Ed25519, signing.SHA256},
		"PureOfECDSA":      {signing.ECDSAP256, signing.PureEd25519},
		"SchemeOfNobody":   {signing.ECDSAP256, "none"},
		"EmptySchemeOfEd":  {signing.Ed25519, ""},
		"EmptySchemeOfRSA": {signing.RSA2048, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newKey(t, tt.kind).Using(tt.scheme); err == nil {
				t.Error("no error")
			}
		})
	}
	if _, err := signing.NewKey("dsa"); err == nil {
		t.Error("unknown kind of key: no error")
	}
}

// TestSignaturesAreAdded checks that each key's signature is there once, in
// both formats.
func TestSignaturesAreAdded(t *testing.T) {
	one, two := newKey(t, signing.ECDSAP256), newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		ref := push(t, server, "1.0.0")
		for _, key := range []*signing.Key{one, two, one} {
			if err := signing.SignCosign(t.Context(), ref, key); err != nil {
				t.Fatalf("signing: %v", err)
			}
		}
		if n := len(pullManifest(t, sigTag(t, ref)).Layers); n != 2 {
			t.Errorf("%d signatures, want one of each key", n)
		}
		for name, key := range map[string]*signing.Key{"one": one, "two": two} {
			if n, err := verifyCosign(t.Context(), parse(t, ref), key.Verifier()); n != 1 || err != nil {
				t.Errorf("key %s: %d accepted, %v; want 1", name, n, err)
			}
			if err := signing.SignBundle(t.Context(), ref, key); err != nil {
				t.Fatalf("signing with a bundle: %v", err)
			}
		}
		if n := len(referrers(t, ref)); n != 2 {
			t.Errorf("%d bundles, want 2", n)
		}
	})
}

func sigTag(t *testing.T, reference string) name.Tag {
	t.Helper()
	tag, err := ociremote.SignatureTag(parse(t, reference))
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func pullManifest(t *testing.T, ref name.Reference) *v1.Manifest {
	t.Helper()
	image, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", ref, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatalf("pulling %s: %v", ref, err)
	}
	return manifest
}

func referrers(t *testing.T, reference string) []v1.Descriptor {
	t.Helper()
	index, err := remote.Referrers(parse(t, reference), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("listing the referrers of %s: %v", reference, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatalf("listing the referrers of %s: %v", reference, err)
	}
	return manifest.Manifests
}

// TestWhatMustBeRefused makes the artifacts that an attacker could, and checks
// that cosign does not take them for signatures of the artifact.
func TestWhatMustBeRefused(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	type artifacts struct{ target, signed string }
	tests := map[string]struct {
		reason string
		attack func(context.Context, artifacts) error
	}{
		"CosignOverAnotherDigest": {
			reason: "the payload names another digest",
			attack: func(ctx context.Context, a artifacts) error {
				return signing.SignCosignOver(ctx, a.target, "sha256:"+someHex, key)
			},
		},
		"BundleOverAnotherDigest": {
			reason: "the statement's subject is another digest",
			attack: func(ctx context.Context, a artifacts) error {
				return signing.SignStatement(ctx, a.target, signing.Statement{Digest: "sha256:" + someHex}, key)
			},
		},
		"Copied": {
			reason: "the signatures are those of another artifact",
			attack: func(ctx context.Context, a artifacts) error {
				return signing.CopySignature(ctx, a.signed, a.target)
			},
		},
		"Edited": {
			reason: "the signature is not over this payload",
			attack: func(ctx context.Context, a artifacts) error {
				s, err := signing.NewSignature(a.target, key)
				s.Payload = append(s.Payload, ' ')
				if err != nil {
					return err
				}
				return signing.AttachCosign(ctx, a.target, []signing.Signature{s})
			},
		},
	}
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		signed := push(t, server, "0.0.1")
		for format, f := range formats {
			if err := f.sign(t.Context(), signed, key); err != nil {
				t.Fatalf("signing as %s: %v", format, err)
			}
		}
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				target := push(t, server, "1.0.0-"+name)
				if err := tt.attack(t.Context(), artifacts{target, signed}); err != nil {
					t.Fatalf("attacking: %v", err)
				}
				if len(signaturePlaces(t, target)) == 0 {
					t.Error("nothing is attached")
				}
				for format, f := range formats {
					if n, err := f.verify(t.Context(), parse(t, target), key.Verifier()); err == nil {
						t.Errorf("%s, and yet cosign accepts %d as %s", tt.reason, n, format)
					}
				}
			})
		}
	})
}

// signaturePlaces lists what is attached to an artifact, in either format.
func signaturePlaces(t *testing.T, reference string) []string {
	t.Helper()
	var places []string
	if _, err := remote.Head(sigTag(t, reference), remote.WithContext(t.Context())); err == nil {
		places = append(places, "tag")
	}
	for _, referrer := range referrers(t, reference) {
		places = append(places, referrer.Digest.String())
	}
	return places
}

func TestCopySignatureCopiesBothFormats(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		from, to := push(t, server, "1.0.0"), push(t, server, "2.0.0")
		if err := signing.CopySignature(t.Context(), from, to); err == nil {
			t.Error("nothing to copy: no error")
		}
		for format, f := range formats {
			if err := f.sign(t.Context(), from, key); err != nil {
				t.Fatalf("signing as %s: %v", format, err)
			}
		}
		if err := signing.CopySignature(t.Context(), from, to); err != nil {
			t.Fatalf("copying: %v", err)
		}
		if diff := cmp.Diff(pullManifest(t, sigTag(t, from)).Layers, pullManifest(t, sigTag(t, to)).Layers); diff != "" {
			t.Errorf("v2 signatures (-from +to):\n%s", diff)
		}
		if diff := cmp.Diff(onlyBundle(t, from), onlyBundle(t, to)); diff != "" {
			t.Errorf("bundles (-from +to):\n%s", diff)
		}
	})
}

// onlyBundle returns the layer and the annotated predicate type of the only
// referrer.
func onlyBundle(t *testing.T, reference string) []string {
	t.Helper()
	manifest := pullManifest(t, onlyReferrer(t, reference))
	return []string{manifest.Layers[0].Digest.String(), manifest.Annotations["dev.sigstore.bundle.predicateType"]}
}

// TestAttestationIsAccepted pins down what cosign's library does: it takes any
// predicate type for good, which is why Assay has to look at it.
func TestAttestationIsAccepted(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		ref := push(t, server, "1.0.0")
		statement := signing.Statement{Digest: parse(t, ref).DigestStr(), PredicateType: "https://spdx.dev/Document"}
		if err := signing.SignStatement(t.Context(), ref, statement, key); err != nil {
			t.Fatalf("attesting: %v", err)
		}
		if n, err := verifyBundle(t.Context(), parse(t, ref), key.Verifier()); n != 1 || err != nil {
			t.Errorf("%d accepted, %v; want 1", n, err)
		}
		if got := onlyBundle(t, ref)[1]; got != statement.PredicateType {
			t.Errorf("annotated predicate type %q", got)
		}
	})
}

// TestManifestsAreWhatCosignWrites compares what is attached with fixtures by
// the command line v2.6.5, but for what differs with every signature.
func TestManifestsAreWhatCosignWrites(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		hasReferrers := strings.HasSuffix(t.Name(), "/referrers")
		ours := push(t, server, "1.0.0")
		for format, f := range formats {
			if err := f.sign(t.Context(), ours, key); err != nil {
				t.Fatalf("signing as %s: %v", format, err)
			}
		}
		for fixture, pick := range map[string]func(*testing.T, string) name.Reference{
			"v2-key-notlog":   func(t *testing.T, reference string) name.Reference { return sigTag(t, reference) },
			"v2-bundle-email": onlyReferrer,
		} {
			digest, err := fixtures.Push(t.Context(), fixture, server.Host(), fixture, hasReferrers)
			if err != nil {
				t.Fatalf("pushing %s: %v", fixture, err)
			}
			want := form(t, pick(t, server.Host()+"/"+fixture+"@"+digest))
			if diff := cmp.Diff(want, form(t, pick(t, ours))); diff != "" {
				t.Errorf("%s (-cosign +ours):\n%s", fixture, diff)
			}
		}
	})
}

// onlyReferrer is the reference of an artifact's single referrer.
func onlyReferrer(t *testing.T, reference string) name.Reference {
	t.Helper()
	list := referrers(t, reference)
	if len(list) != 1 {
		t.Fatalf("%s has %d referrers, want 1", reference, len(list))
	}
	return parse(t, reference).Context().Digest(list[0].Digest.String())
}

// form is a manifest as JSON has it, without sizes, digests, times and
// signatures.
func form(t *testing.T, ref name.Reference) any {
	t.Helper()
	desc, err := remote.Get(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", ref, err)
	}
	var manifest any
	if err := json.Unmarshal(desc.Manifest, &manifest); err != nil {
		t.Fatalf("reading %s: %v", ref, err)
	}
	blank(manifest)
	return manifest
}

// blank overwrites what differs with every signature, at any depth.
func blank(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			switch name {
			case "size", "digest", "org.opencontainers.image.created", "dev.cosignproject.cosign/signature":
				value[name] = "…"
			default:
				blank(child)
			}
		}
	case []any:
		for _, child := range value {
			blank(child)
		}
	}
}

// TestBundleIsWhatCosignWrites compares a bundle with the one of cosign v2.6 in
// the fixture v2-bundle-email, which has no predicate either. The hint is that
// of the fixtures with keys.
func TestBundleIsWhatCosignWrites(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	raw, err := signing.NewBundle(signing.Statement{Digest: "sha256:" + someHex}, key)
	if err != nil {
		t.Fatalf("making a bundle: %v", err)
	}
	var bundle struct {
		MediaType            string
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DSSEEnvelope         struct {
			PayloadType string
			Payload     []byte
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(raw, &bundle); err != nil {
		t.Fatalf("reading the bundle: %v", err)
	}
	if bundle.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" {
		t.Errorf("media type %q", bundle.MediaType)
	}
	if want := hint(t, key); bundle.VerificationMaterial.PublicKey.Hint != want {
		t.Errorf("hint %q, want %q", bundle.VerificationMaterial.PublicKey.Hint, want)
	}
	if bundle.DSSEEnvelope.PayloadType != "application/vnd.in-toto+json" || len(bundle.DSSEEnvelope.Signatures) != 1 {
		t.Errorf("envelope: %s", raw)
	}
	var statement any
	if err := json.Unmarshal(bundle.DSSEEnvelope.Payload, &statement); err != nil {
		t.Fatalf("reading the statement: %v", err)
	}
	want := map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"digest": map[string]any{"sha256": someHex}}},
		"predicateType": "https://sigstore.dev/cosign/sign/v1",
	}
	if diff := cmp.Diff(any(want), statement); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
}

// hint is the base64 of the SHA-256 of the key in DER.
func hint(t *testing.T, key *signing.Key) string {
	t.Helper()
	der, err := cryptoutils.UnmarshalPEMToPublicKey(key.PublicPEM())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := cryptoutils.MarshalPublicKeyToDER(der)
	if err != nil {
		t.Fatal(err)
	}
	digest := crypto.SHA256.New()
	digest.Write(raw)
	return base64.StdEncoding.EncodeToString(digest.Sum(nil))
}

func TestAnnotationsAreAttached(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	each(t, registry.Options{}, func(t *testing.T, server *registry.Server) {
		ref := push(t, server, "1.0.0")
		var many []signing.Signature
		for _, bundle := range []string{"7", "not JSON"} {
			s, err := signing.NewSignature(ref, key)
			if err != nil {
				t.Fatal(err)
			}
			s.Annotations = map[string]string{"dev.sigstore.cosign/bundle": bundle}
			many = append(many, s)
		}
		if err := signing.AttachCosign(t.Context(), ref, many); err != nil {
			t.Fatalf("attaching: %v", err)
		}
		layers := pullManifest(t, sigTag(t, ref)).Layers
		if len(layers) != len(many) {
			t.Fatalf("%d layers, want %d", len(layers), len(many))
		}
		for i, s := range many {
			want := map[string]string{
				"dev.sigstore.cosign/bundle":         s.Annotations["dev.sigstore.cosign/bundle"],
				"dev.cosignproject.cosign/signature": s.Base64,
			}
			if diff := cmp.Diff(want, layers[i].Annotations); diff != "" {
				t.Errorf("layer %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

func TestCredentialsAreUsed(t *testing.T) {
	key := newKey(t, signing.ECDSAP256)
	auth := remote.WithAuth(&authn.Basic{Username: "u", Password: "p"})
	for name, demand := range map[string]registry.Auth{
		"basic": registry.BasicAuth{User: "u", Password: "p"},
		"token": &registry.TokenAuth{User: "u", Password: "p"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, registry.Options{Auth: demand}, func(t *testing.T, server *registry.Server) {
				from, to := push(t, server, "1.0.0", auth), push(t, server, "2.0.0", auth)
				for format, f := range formats {
					if err := f.sign(t.Context(), from, key, auth); err != nil {
						t.Errorf("signing as %s: %v", format, err)
					}
					if err := f.sign(t.Context(), from, key); err == nil {
						t.Errorf("signing as %s without credentials: no error", format)
					}
				}
				if err := signing.CopySignature(t.Context(), from, to, auth); err != nil {
					t.Errorf("copying: %v", err)
				}
			})
		})
	}
}
