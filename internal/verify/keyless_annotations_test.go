package verify_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// wrongAnnotations are Cosign annotations that cannot be what they say.
var wrongAnnotations = map[string]wrong{
	"certificate that is not a string": annotated("certificate", verify.ReasonSignatureInvalid, "certificate is not a string"),
	"certificate that is none":         annotatedText("certificate", "no PEM", verify.ReasonSignatureInvalid, "certificate is not one certificate in PEM"),
	"certificate that cannot be parsed": annotatedText("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		verify.ReasonSignatureInvalid, "certificate is not one certificate in PEM"),
	"certificate and another": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			both := block("CERTIFICATE", s.Certificate.Raw) + block("CERTIFICATE", a.signer(t).Certificate.Raw)
			s.Annotations = map[string]string{"dev.sigstore.cosign/certificate": both}
		}
	}, verify.ReasonSignatureInvalid, "certificate is not one certificate in PEM", sigstore.FormatCosign},
	"timestamp that is no JSON": annotatedText("rfc3161timestamp", "{", verify.ReasonSignatureInvalid, "rfc3161timestamp is not a timestamp"),
	"timestamp that is empty":   annotatedText("rfc3161timestamp", "{}", verify.ReasonSignatureInvalid, "rfc3161timestamp is not a timestamp"),
	"log entry that is no JSON": annotatedText("bundle", "{", verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry that is empty":   annotatedText("bundle", "{}", verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry whose body is no string": rekorEdited(func(p map[string]any) { p["body"] = map[string]any{"kind": "hashedrekord"} },
		verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry whose body is not base64": rekorEdited(func(p map[string]any) { p["body"] = p["body"].(string) + "?" },
		verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry whose body is no JSON": rekorEdited(func(p map[string]any) { p["body"] = base64Of([]byte("{")) },
		verify.ReasonSignatureInvalid, "the body of its log entry cannot be read"),
	"log entry whose log is not hexadecimal": rekorEdited(func(p map[string]any) { p["logID"] = "?" },
		verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry with a negative index": rekorEdited(func(p map[string]any) { p["logIndex"] = -1 },
		verify.ReasonSignatureInvalid, "bundle is not an entry of the kind"),
	"log entry of another version": {func(t testing.TB, a *attempt) { // Rekor v2's, in the v1 format
		a.request.Timestamp = true
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			entry := asRekor1(t, s)
			s.Entries = []*rekorpb.TransparencyLogEntry{entry}
		}
	}, verify.ReasonSignatureInvalid, "bundle is not an entry of the kind hashedrekord 0.0.1", sigstore.FormatCosign},
	"log entry of another kind": {func(t testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			b := *a
			b.edit, b.request.Format = nil, sigstore.FormatBundle
			s.Entries = b.sign(t).Entries // a dsse 0.0.1
		}
	}, verify.ReasonSignatureInvalid, "bundle is not an entry of the kind hashedrekord 0.0.1", sigstore.FormatCosign},
	"chain that is not a string": annotated("chain", verify.ReasonSignatureInvalid, "chain is not a string"),
}

// annotated is a row whose annotation is a number: withNumbers makes it one.
func annotated(name string, reason verify.Reason, says string) wrong {
	return wrong{func(_ testing.TB, a *attempt) {
		a.edit = func(_ testing.TB, s *sigstore.Signed) {
			s.Annotations = map[string]string{"dev.sigstore.cosign/" + name: notAString}
		}
	}, reason, says, sigstore.FormatCosign}
}

const notAString = "\x00number"

// annotatedText is a row whose annotation is another text.
func annotatedText(name, value string, reason verify.Reason, says string) wrong {
	return wrong{func(_ testing.TB, a *attempt) {
		a.edit = func(_ testing.TB, s *sigstore.Signed) {
			s.Annotations = map[string]string{"dev.sigstore.cosign/" + name: value}
		}
	}, reason, says, sigstore.FormatCosign}
}

// rekorEdited is a row whose annotation with the log entry has another payload.
func rekorEdited(change func(map[string]any), reason verify.Reason, says string) wrong {
	return wrong{func(_ testing.TB, a *attempt) {
		a.edit = func(t testing.TB, s *sigstore.Signed) {
			made, err := s.Cosign()
			if err != nil {
				t.Fatal(err)
			}
			var log map[string]any
			d := json.NewDecoder(strings.NewReader(made.Annotations["dev.sigstore.cosign/bundle"]))
			d.UseNumber()
			if err := d.Decode(&log); err != nil {
				t.Fatal(err)
			}
			change(log["Payload"].(map[string]any))
			s.Annotations = map[string]string{"dev.sigstore.cosign/bundle": string(marshal(t, log))}
		}
	}, reason, says, sigstore.FormatCosign}
}

func withNumbers(s verify.Signature) verify.Signature {
	s.Annotations = bytes.ReplaceAll(s.Annotations, []byte(`"\u0000number"`), []byte("1"))
	return s
}

// What stands beside a signature by a key is not looked at where no log is
// required.
func TestKeyLooksAtNoAnnotations(t *testing.T) {
	key := p256(t, "signer")
	right := cosignSigned(t, artifact, key)
	for _, name := range []string{"rfc3161timestamp", "chain", "certificate", "bundle"} {
		for _, value := range []string{"1", `"{"`, "null"} {
			s := right
			s.Annotations = []byte(strings.TrimSuffix(string(right.Annotations), "}") + `,"dev.sigstore.cosign/` + name + `":` + value + "}")
			wantVerified(t, trusting(t, key), artifact, s)
		}
	}
}

// A bundle whose certificate cannot be parsed is malformed.
func TestBundleCertificateThatIsNone(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	s := signatureOf(t, a.sign(t))
	var b map[string]any
	if err := json.Unmarshal(s.Payload, &b); err != nil {
		t.Fatal(err)
	}
	b["verificationMaterial"].(map[string]any)["certificate"] = map[string]any{"rawBytes": "AAAA"}
	s.Payload = marshal(t, b)
	refusal := wantRefusal(t, verify.ReasonSignatureInvalid, a.policy(t), artifact, s)
	if !strings.Contains(refusal.Message, "cannot be read") {
		t.Error(refusal.Message)
	}
}
