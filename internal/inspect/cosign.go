package inspect

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/assay-dev/assay/internal/verify"
)

// The annotations of Cosign's v2 format.
// https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md
const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	logAnnotation         = "dev.sigstore.cosign/bundle"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

func readCosign(digest string, s verify.Signature) Found {
	annotations := texts(s.Annotations)
	if annotations == nil {
		return Found{Problem: "its annotations are not a JSON object"}
	}
	f := Found{}
	f.readPayload(digest, s.Payload)
	if text := annotations[certificateAnnotation]; text != "" {
		certificates, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(text))
		if err != nil || len(certificates) == 0 {
			f.Problem = "its certificate cannot be read"
		} else {
			f.Certificate = certificateOf(certificates[0])
		}
	}
	if text := annotations[logAnnotation]; text != "" {
		f.readLog(text)
	}
	if text := annotations[timestampAnnotation]; text != "" {
		var stamp struct{ SignedRFC3161Timestamp []byte }
		if json.Unmarshal([]byte(text), &stamp) != nil {
			f.Problem = "its timestamp cannot be read"
		} else {
			f.addTimestamp(stamp.SignedRFC3161Timestamp)
		}
	}
	return f
}

// texts are the annotations that are strings; nil for what is no object.
func texts(raw json.RawMessage) map[string]string {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil || all == nil {
		return nil
	}
	found := map[string]string{}
	for name, value := range all {
		var text string
		if json.Unmarshal(value, &text) == nil {
			found[name] = text
		}
	}
	return found
}

// readPayload reads a simple signing document or, under the tag of attestations,
// a DSSE envelope.
func (f *Found) readPayload(digest string, payload []byte) {
	var document struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
		Envelope []byte `json:"payload"`
	}
	switch err := json.Unmarshal(payload, &document); {
	case err != nil:
		f.Problem = "its payload cannot be read"
	case document.Envelope != nil:
		f.readStatement(digest, document.Envelope)
	default:
		f.Kind, f.NamesDigest = Signature, document.Critical.Image.Digest == digest
	}
}

// readLog reads an entry of Rekor v1.
func (f *Found) readLog(text string) {
	var entry struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           string `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	err := json.Unmarshal([]byte(text), &entry)
	body, notBase64 := base64.StdEncoding.DecodeString(entry.Payload.Body)
	id, notHex := hex.DecodeString(entry.Payload.LogID)
	var head struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err != nil || notBase64 != nil || notHex != nil || json.Unmarshal(body, &head) != nil {
		f.Problem = "its log entry cannot be read"
		return
	}
	parsed, err := tlog.ParseTransparencyLogEntry(&protorekor.TransparencyLogEntry{
		LogIndex: entry.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, IntegratedTime: entry.Payload.IntegratedTime,
		KindVersion:       &protorekor.KindVersion{Kind: head.Kind, Version: head.APIVersion},
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: entry.SignedEntryTimestamp},
		CanonicalizedBody: body,
	})
	if err != nil {
		f.Problem = "its log entry cannot be read"
		return
	}
	f.addEntry(parsed)
}
