package inspect_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/assay-dev/assay/internal/inspect"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

const (
	digest  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	another = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// signature is a signed one as the registry has it.
func signature(t *testing.T, s *sigstore.Signed) verify.Signature {
	t.Helper()
	if s.Format == sigstore.FormatBundle {
		raw, err := s.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		return verify.Signature{Format: verify.FormatBundle, Payload: raw}
	}
	made, err := s.Cosign()
	if err != nil {
		t.Fatal(err)
	}
	annotations := map[string]string{"dev.cosignproject.cosign/signature": made.Base64}
	for name, value := range made.Annotations {
		annotations[name] = value
	}
	raw, err := json.Marshal(annotations)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Signature{Format: verify.FormatCosign, Payload: made.Payload, Annotations: raw}
}

// TestSuggest: what is suggested for a signature accepts it, by the root of those
// who witnessed it, and by no other.
func TestSuggest(t *testing.T) {
	right, wrong := newSigstore(t), newSigstore(t)
	signer, err := right.Issue(sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0"), sigstore.CertificateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]sigstore.Request{
		"bundle, Rekor v2":   {Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true},
		"bundle, Rekor v1":   {Format: sigstore.FormatBundle, Log: sigstore.Rekor1},
		"bundle, timestamp":  {Format: sigstore.FormatBundle, Timestamp: true},
		"Cosign v2, Rekor 1": {Format: sigstore.FormatCosign, Log: sigstore.Rekor1},
	} {
		t.Run(name, func(t *testing.T) {
			request.Digest, request.Repository = digest, "registry.example.com/app"
			signed, err := right.Sign(signer, request)
			if err != nil {
				t.Fatal(err)
			}
			found := inspect.Read(digest, signature(t, signed))
			if found.Kind != inspect.Signature || found.Problem != "" || !found.NamesDigest {
				t.Fatalf("expected a signature of the digest, found %+v", found)
			}
			if want := "https://github.com/example-org/app/.github/workflows/release.yml@refs/tags/v1.0.0"; found.Certificate.Subject != want {
				t.Errorf("expected the subject %s, found %s", want, found.Certificate.Subject)
			}
			if hasLog := request.Log != sigstore.NoLog; hasLog != (len(found.Logs) == 1) {
				t.Errorf("expected a log entry: %t, found %v", hasLog, found.Logs)
			}
			if request.Timestamp != (len(found.Timestamps) == 1) {
				t.Errorf("expected a timestamp: %t, found %v", request.Timestamp, found.Timestamps)
			}
			s, err := found.Suggest(digest, root(t, right))
			if err != nil || s.Verified == nil || s.Verified.Subject != found.Certificate.Subject {
				t.Errorf("expected what is suggested to accept it, found %+v, %v", s, err)
			}
			if s, _ := found.Suggest(digest, root(t, wrong)); s.Verified != nil || s.Refusal == nil {
				t.Errorf("another root: expected that nothing is verified, found %+v", s)
			}
			if s, _ := found.Suggest(digest, nil); s.Verified != nil || s.Refusal == nil {
				t.Errorf("no root: expected that nothing is verified, found %+v", s)
			}
			if s, _ := found.Suggest(another, root(t, right)); s.Verified != nil {
				t.Errorf("another digest: expected that nothing is verified, found %+v", s)
			}
			if inspect.Read(another, signature(t, signed)).NamesDigest {
				t.Error("another digest: expected that it is not named")
			}
		})
	}
}

// TestAttestationsAreNoSignatures: nothing is suggested for what no verdict
// accepts.
func TestAttestationsAreNoSignatures(t *testing.T) {
	s := newSigstore(t)
	signer, err := s.Issue(sigstore.Email("dev@example.com", "https://accounts.example.com"), sigstore.CertificateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const predicate = "https://slsa.dev/provenance/v1"
	signed, err := s.Sign(signer, sigstore.Request{Digest: digest, Format: sigstore.FormatBundle, PredicateType: predicate, Log: sigstore.Rekor1})
	if err != nil {
		t.Fatal(err)
	}
	found := inspect.Read(digest, signature(t, signed))
	if found.Kind != inspect.Attestation || found.PredicateType != predicate {
		t.Errorf("expected an attestation, found %+v", found)
	}
	if suggestion, err := found.Suggest(digest, root(t, s)); err == nil {
		t.Errorf("expected nothing to be suggested, found %+v", suggestion)
	}
}

// TestUnreadable: what is malformed says so, and repeats nothing of itself.
func TestUnreadable(t *testing.T) {
	for name, s := range map[string]verify.Signature{
		"nothing":                {},
		"bundle of nothing":      {Format: verify.FormatBundle},
		"bundle that is none":    {Format: verify.FormatBundle, Payload: []byte(`{"mediaType":"marker"}`)},
		"annotations of a list":  {Format: verify.FormatCosign, Payload: []byte(`{}`), Annotations: json.RawMessage(`["marker"]`)},
		"certificate of nothing": {Format: verify.FormatCosign, Payload: []byte(`marker`), Annotations: json.RawMessage(`{"dev.sigstore.cosign/certificate":"marker"}`)},
		"log entry of nothing":   {Format: verify.FormatCosign, Payload: []byte(`marker`), Annotations: json.RawMessage(`{"dev.sigstore.cosign/bundle":"marker"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			found := inspect.Read(digest, s)
			if found.Problem == "" || bytes.Contains([]byte(found.Problem), []byte("marker")) {
				t.Errorf("expected a problem that repeats nothing, found %q", found.Problem)
			}
			if found.Kind == inspect.Signature && found.NamesDigest {
				t.Errorf("expected no signature of the digest, found %+v", found)
			}
		})
	}
}

func newSigstore(t *testing.T) *sigstore.Sigstore {
	t.Helper()
	s, err := sigstore.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func root(t *testing.T, s *sigstore.Sigstore) *verify.TrustedRoot {
	t.Helper()
	root, err := verify.ParseTrustedRoot(s.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// FuzzRead: no input ends the process, or is verified without a root.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`), []byte(`{}`))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"`+digest+`"}}}`), []byte(`{"dev.sigstore.cosign/bundle":"{}","dev.sigstore.cosign/rfc3161timestamp":"{}"}`))
	f.Fuzz(func(t *testing.T, payload, annotations []byte) {
		for _, format := range []verify.Format{verify.FormatCosign, verify.FormatBundle} {
			found := inspect.Read(digest, verify.Signature{Format: format, Payload: payload, Annotations: annotations})
			if found.Kind == "" {
				t.Errorf("expected a kind, found %+v", found)
			}
			if s, err := found.Suggest(digest, nil); err == nil && s.Verified != nil && s.Identity != nil {
				t.Errorf("expected nothing to be verified without a root, found %+v", s)
			}
		}
	})
}
