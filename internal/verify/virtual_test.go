package verify_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/assay-dev/assay/internal/verify"
)

// virtual is sigstore-go's own Sigstore for tests: a second opinion on what the
// tests' own makes. Its certificates are in no certificate transparency log.
func virtual(t *testing.T) (*ca.VirtualSigstore, *verify.TrustedRoot) {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	logs := v.RekorLogs()
	for id, log := range logs { // It has the hexadecimal digits where the bytes belong.
		if log.ID, err = hex.DecodeString(id); err != nil {
			t.Fatal(err)
		}
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, v.FulcioCertificateAuthorities(), nil, v.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := verify.ParseTrustedRoot(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v, parsed
}

// virtualBundle writes what a virtual Sigstore made as a bundle.
func virtualBundle(t *testing.T, v *ca.VirtualSigstore, e *ca.TestEntity) verify.Signature {
	t.Helper()
	content, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	envelope := signed.EnvelopeContent().RawEnvelope()
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	b := &protobundle.Bundle{
		MediaType: bundleType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: content.Certificate().Raw}},
			TimestampVerificationData: &protobundle.TimestampVerificationData{},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: envelope.PayloadType, Signatures: []*protodsse.Signature{{Sig: signed.Signature()}},
		}},
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		made := entry.TransparencyLogEntry()
		if made.KindVersion == nil { // As for Rekor v1, together with the promise.
			made.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
			promise, err := v.RekorSignPayload(tlog.RekorPayload{
				Body: entry.Body(), IntegratedTime: made.IntegratedTime, LogIndex: made.LogIndex, LogID: hex.EncodeToString(made.LogId.KeyId),
			})
			if err != nil {
				t.Fatal(err)
			}
			made.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
		}
		b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, made)
	}
	stamps, err := e.Timestamps()
	if err != nil {
		t.Fatal(err)
	}
	for _, stamp := range stamps {
		b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps = append(
			b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	raw, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Signature{Format: verify.FormatBundle, Payload: raw}
}

// What sigstore-go's own Sigstore signs is accepted under its root, and refused
// for the part that is another's.
func TestVirtualSigstore(t *testing.T) {
	if os.Getenv("ASSAY_TEST_OFFLINE") != "" {
		t.Skip("what signs here reads the local time zone")
	}
	const issuer, subject = "https://issuer.example", "dev@example.com"
	v, ours := virtual(t)
	_, theirs := virtual(t)
	statement := func(digest string) []byte {
		raw, err := json.Marshal(map[string]any{
			"_type": "https://in-toto.io/Statement/v1", "predicateType": signPredicate, "predicate": map[string]any{},
			"subject": []any{map[string]any{"digest": map[string]any{"sha256": digest[len("sha256:"):]}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	soon := time.Now().Add(time.Minute)
	for name, attest := range map[string]func(body []byte, at time.Time) (*ca.TestEntity, error){
		"Rekor v1": func(body []byte, at time.Time) (*ca.TestEntity, error) {
			return v.AttestAtTime(subject, issuer, body, at, true)
		},
		"Rekor v2": func(body []byte, at time.Time) (*ca.TestEntity, error) {
			return v.AttestAtTimeHashedRekordV2(subject, issuer, body, at)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sign := func(digest string, at time.Time) verify.Signature {
				e, err := attest(statement(digest), at)
				if err != nil {
					t.Fatal(err)
				}
				return virtualBundle(t, v, e)
			}
			who := verify.IdentitySpec{Issuer: issuer, Subject: subject}
			right := sign(artifact, soon)
			wantVerified(t, keyless(t, ours, verify.LogRequire, who), artifact, right)
			wantVerified(t, keyless(t, ours, verify.LogIgnore, who), artifact, right)
			wantRefusal(t, verify.ReasonTimestampInvalid, keyless(t, theirs, verify.LogRequire, who), artifact, right)
			wantRefusal(t, verify.ReasonIdentityMismatch, keyless(t, ours, verify.LogRequire, verify.IdentitySpec{Issuer: issuer, Subject: "ops@example.com"}), artifact, right)
			wantRefusal(t, verify.ReasonSignatureInvalid, keyless(t, ours, verify.LogRequire, who), artifact, sign(another, soon))
			if name == "Rekor v1" { // Rekor v2 says no time.
				wantRefusal(t, verify.ReasonCertificateInvalid, keyless(t, ours, verify.LogRequire, who), artifact, sign(artifact, time.Now().Add(30*time.Minute)))
			}
		})
	}
}
