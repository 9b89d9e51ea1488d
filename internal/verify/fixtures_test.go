package verify_test

import (
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/google/go-cmp/cmp"
)

// fixtureKeys are all public keys beside the fixtures, those of the logs too.
var fixtureKeys = []string{"cosign", "other", "rsa", "p384", "p521", "ed25519", "ctlog", "rekor1", "rekor2"}

func trustingFixture(t testing.TB, key string) verify.Policy {
	t.Helper()
	keys, err := verify.ParseKeys(fixtures.Key(key))
	if err != nil {
		t.Fatalf("parsing %s.pub: %v", key, err)
	}
	return threshold(1, verify.Authority{Name: key, Keys: keys, TransparencyLog: verify.LogIgnore})
}

// descriptor is an entry of an index or a layer of a manifest, with the
// annotations as they stand.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
type descriptor struct {
	MediaType   string          `json:"mediaType"`
	Digest      string          `json:"digest"`
	Annotations json.RawMessage `json:"annotations"`
}

// manifest is an image's or an index's.
type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Layers    []descriptor `json:"layers"`
}

func readFixture(t testing.TB, parts ...string) []byte {
	t.Helper()
	content, err := fixtures.File(path.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func readManifest(t testing.TB, parts ...string) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(readFixture(t, parts...), &m); err != nil {
		t.Fatalf("%v: %v", parts, err)
	}
	return m
}

// blobOf is where a layout has a blob.
func blobOf(fixture, digest string) string {
	return path.Join(fixture, "blobs", strings.Replace(digest, ":", "/", 1))
}

// fixture returns the digest of a fixture's artifact, and the signatures that
// its layout has in each place, by the end of the tag: .sig, .att, or nothing
// for the bundles. It reads the layout with code of its own.
func fixture(t testing.TB, name string) (digest string, places map[string][]verify.Signature) {
	t.Helper()
	digest, err := fixtures.Digest(name)
	if err != nil {
		t.Fatal(err)
	}
	places = map[string][]verify.Signature{}
	for _, entry := range readManifest(t, name, "index.json").Manifests {
		var annotations map[string]string
		if err := json.Unmarshal(entry.Annotations, &annotations); err != nil {
			t.Fatal(err)
		}
		tag := annotations["org.opencontainers.image.ref.name"]
		prefix := strings.Replace(digest, ":", "-", 1)
		if place, ok := strings.CutPrefix(tag, prefix); ok {
			places[place] = signaturesIn(t, name, entry)
		}
	}
	return digest, places
}

// signaturesIn reads the layers of an image as signatures, or those of the
// images in an index as bundles.
func signaturesIn(t testing.TB, name string, entry descriptor) []verify.Signature {
	t.Helper()
	var all []verify.Signature
	m := readManifest(t, blobOf(name, entry.Digest))
	for _, child := range m.Manifests {
		all = append(all, signaturesIn(t, name, child)...)
	}
	for _, layer := range m.Layers {
		s := verify.Signature{Format: verify.FormatCosign, Payload: readFixture(t, blobOf(name, layer.Digest)), Annotations: layer.Annotations}
		if strings.HasPrefix(layer.MediaType, "application/vnd.dev.sigstore.bundle") {
			s = verify.Signature{Format: verify.FormatBundle, Payload: s.Payload}
		}
		all = append(all, s)
	}
	return all
}

// readme returns the key that accepts each fixture with the log ignored, or "",
// by the table there.
func readme(t testing.TB) map[string]string {
	t.Helper()
	accepted := map[string]string{}
	for name, row := range readmeTable(t) {
		if row.KeyIgnore != "no" {
			accepted[name] = fixtures.KeyName(name)
		} else {
			accepted[name] = ""
		}
	}
	return accepted
}

// What the released command lines signed is accepted under the key that signed
// it, and under no other.
func TestFixtures(t *testing.T) {
	table := readme(t)
	var names []string
	for _, name := range fixtures.Names() {
		if _, ok := table[name]; !ok {
			t.Errorf("the README's table has no %s", name)
		}
		names = append(names, name)
	}
	if len(names) != len(table) {
		t.Errorf("%d fixtures, %d in the README's table", len(names), len(table))
	}
	yes := 0
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			digest, places := fixture(t, name)
			signatures := append(append([]verify.Signature{}, places[".sig"]...), places[""]...)
			for _, key := range fixtureKeys {
				policy := trustingFixture(t, key)
				if key == table[name] {
					yes++
					v := wantVerified(t, policy, digest, signatures...)
					want := []verify.Signer{{Authority: key, Format: signatures[0].Format, KeyFingerprint: policy.Authorities[0].Keys[0].Fingerprint()}}
					if diff := cmp.Diff(want, v.Signers()); diff != "" {
						t.Errorf("evidence (-want +got):\n%s", diff)
					}
					wantRefusal(t, verify.ReasonSignatureInvalid, policy, artifact, signatures...)
					continue
				}
				want := verify.ReasonKeyMismatch
				if len(signatures) == 0 || strings.HasPrefix(name, "attest-") {
					want = verify.ReasonNoSignature
				}
				wantRefusal(t, want, policy, digest, signatures...)
			}
		})
	}
	if yes != 17 {
		t.Errorf("%d fixtures are accepted, expected 17", yes)
	}
}

// What a key signed is over its own artifact, and over that of no other fixture.
func TestFixturesAreOfOneArtifact(t *testing.T) {
	for name, key := range readme(t) {
		if key == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			_, places := fixture(t, name)
			for _, other := range fixtures.Names() {
				digest, err := fixtures.Digest(other)
				if err != nil {
					t.Fatal(err)
				}
				if other != name {
					wantRefusal(t, verify.ReasonSignatureInvalid, trustingFixture(t, key), digest, append(places[".sig"], places[""]...)...)
				}
			}
		})
	}
}

// What lies under .att are attestations, in whichever format they are read.
func TestFixturesAttestationsAreNoSignatures(t *testing.T) {
	found := 0
	for _, name := range fixtures.Names() {
		digest, places := fixture(t, name)
		for _, s := range places[".att"] {
			found++
			for _, key := range fixtureKeys {
				for _, format := range []verify.Format{verify.FormatCosign, verify.FormatBundle} {
					s.Format = format
					var refusal *verify.Refusal
					if _, err := verify.Verify(trustingFixture(t, key), digest, []verify.Signature{s}); !errors.As(err, &refusal) {
						t.Errorf("%s: expected a refusal, found %v", name, err)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("no fixture has attestations under .att")
	}
}
