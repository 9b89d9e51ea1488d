package inspect

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/assay-dev/assay/internal/verify"
)

func readBundle(digest string, s verify.Signature) Found {
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(s.Payload); err != nil {
		return Found{Problem: "it is not a Sigstore bundle"}
	}
	f := Found{Kind: Signature}
	if message := b.GetMessageSignature(); message != nil {
		f.NamesDigest = "sha256:"+hex.EncodeToString(message.GetMessageDigest().GetDigest()) == digest
	} else {
		f.readStatement(digest, b.GetDsseEnvelope().GetPayload())
	}
	if content, err := b.VerificationContent(); err == nil {
		if c := content.Certificate(); c != nil {
			f.Certificate = certificateOf(c)
		} else if key := content.PublicKey(); key != nil {
			f.KeyHint = fingerprintOf(key.Hint())
		}
	}
	entries, err := b.TlogEntries()
	if err != nil {
		f.Problem = "its log entries cannot be read"
	}
	for _, e := range entries {
		f.addEntry(e)
	}
	stamps, err := b.Timestamps()
	if err != nil {
		f.Problem = "its timestamps cannot be read"
	}
	for _, raw := range stamps {
		f.addTimestamp(raw)
	}
	return f
}

// fingerprintOf writes a hint as fingerprints are written, where it is one: Cosign
// hints at the SHA-256 of the key.
func fingerprintOf(hint string) string {
	raw, err := base64.StdEncoding.DecodeString(hint)
	if err != nil || len(raw) != sha256.Size {
		return hint
	}
	return "sha256:" + hex.EncodeToString(raw)
}

// readStatement reads an in-toto statement.
func (f *Found) readStatement(digest string, payload []byte) {
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(payload, &statement) != nil {
		f.Kind, f.Problem = Unreadable, "its payload is not an in-toto statement"
		return
	}
	f.PredicateType = statement.PredicateType
	if f.Kind = Attestation; statement.PredicateType == verify.SignPredicateType {
		f.Kind = Signature
	}
	for _, subject := range statement.Subject {
		if subject.Digest["sha256"] == strings.TrimPrefix(digest, "sha256:") {
			f.NamesDigest = true
		}
	}
}

func (f *Found) addEntry(e *tlog.Entry) {
	entry := LogEntry{ID: hex.EncodeToString([]byte(e.LogKeyID())), Index: e.LogIndex()}
	if at := e.IntegratedTime(); !at.IsZero() && at.Unix() != 0 {
		entry.IntegratedTime = at.UTC()
	}
	f.Logs = append(f.Logs, entry)
	if f.Certificate != nil {
		return
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(e.PublicKey())
	if err != nil {
		return
	}
	if keys, err := verify.ParseKeys(text); err == nil {
		f.Keys, f.KeysPEM = append(f.Keys, keys...), append(f.KeysPEM, string(text))
	}
}

func (f *Found) addTimestamp(raw []byte) {
	stamp, err := timestamp.ParseResponse(raw)
	if err != nil {
		f.Problem = "a timestamp of it cannot be read"
		return
	}
	f.Timestamps = append(f.Timestamps, stamp.Time.UTC().Truncate(time.Second))
}
