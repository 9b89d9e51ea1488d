package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/proto"
)

// Bounds of a trusted root.
const (
	// MaxTrustedRootBytes bounds the JSON of a trusted root.
	MaxTrustedRootBytes = 1 << 20
	// maxRootParts bounds the authorities and logs of each kind in a trusted
	// root: each is tried on each signature.
	maxRootParts = 64
)

// TrustedRoot is a Sigstore trusted root: the certificate authorities, logs
// and timestamp authorities that one instance of Sigstore is trusted for. Only
// [ParseTrustedRoot] makes one; it does not change afterwards.
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
type TrustedRoot struct {
	material root.TrustedMaterial
	hash     string
}

// ParseTrustedRoot reads the JSON of a trusted root, of at most
// MaxTrustedRootBytes. Its errors never repeat the content.
func ParseTrustedRoot(raw []byte) (r *TrustedRoot, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, fmt.Errorf("expected a Sigstore trusted root, found one that cannot be read")
		}
	}()
	if len(raw) > MaxTrustedRootBytes {
		return nil, fmt.Errorf("expected at most %d bytes, found %d", MaxTrustedRootBytes, len(raw))
	}
	message, err := root.NewTrustedRootProtobuf(raw)
	if err != nil || message.GetMediaType() != root.TrustedRootMediaType01 {
		return nil, fmt.Errorf("expected JSON of the media type %s, found something else", root.TrustedRootMediaType01)
	}
	parts := 0
	for _, n := range []int{
		len(message.GetCertificateAuthorities()), len(message.GetTimestampAuthorities()),
		len(message.GetTlogs()), len(message.GetCtlogs()),
	} {
		if n > maxRootParts {
			return nil, fmt.Errorf("expected at most %d authorities or logs of a kind, found %d", maxRootParts, n)
		}
		parts += n
	}
	if parts == 0 {
		return nil, fmt.Errorf("expected at least one authority or log, found none")
	}
	if !modestRoot(message) {
		return nil, fmt.Errorf("expected RSA keys of at most %d bits, found a larger one", maxRSABits)
	}
	material, err := root.NewTrustedRootFromProtobuf(message)
	if err != nil {
		return nil, fmt.Errorf("expected a Sigstore trusted root, found one with a part that is malformed or of a kind that is not supported")
	}
	// The canonical form: white space, the order of fields and what publishes
	// the root do not count.
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("expected a Sigstore trusted root, found one that cannot be encoded")
	}
	sum := sha256.Sum256(canonical)
	return &TrustedRoot{material: material, hash: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// modestRoot reports whether verifying with every key in a root takes little
// time. What is no key is left to those who read it.
func modestRoot(message *prototrustroot.TrustedRoot) bool {
	for _, a := range slices.Concat(message.GetCertificateAuthorities(), message.GetTimestampAuthorities()) {
		for _, c := range a.GetCertChain().GetCertificates() {
			if boundCertificate(c.GetRawBytes()) != nil {
				return false
			}
		}
	}
	for _, log := range slices.Concat(message.GetTlogs(), message.GetCtlogs()) {
		der := log.GetPublicKey().GetRawBytes()
		if k, err := x509.ParsePKIXPublicKey(der); err == nil && !modest(k) {
			return false
		}
		if k, err := x509.ParsePKCS1PublicKey(der); err == nil && !modest(k) {
			return false
		}
	}
	return true
}

// Hash is "sha256:<hex>" over the canonical form of the root.
func (r *TrustedRoot) Hash() string { return r.hash }

func (r *TrustedRoot) hasLog() bool         { return len(r.material.RekorLogs()) > 0 }
func (r *TrustedRoot) hasCTLog() bool       { return len(r.material.CTLogs()) > 0 }
func (r *TrustedRoot) hasAuthority() bool   { return len(r.material.FulcioCertificateAuthorities()) > 0 }
func (r *TrustedRoot) hasTimestamper() bool { return len(r.material.TimestampingAuthorities()) > 0 }

// logsAt is the root with those of its logs that were in use at all of these
// times. The library looks at a log's dates only where the log itself says the
// time, which logs of Rekor v2 do not.
func (r *TrustedRoot) logsAt(times []time.Time) root.TrustedMaterial {
	logs := map[string]*root.TransparencyLog{}
	for id, log := range r.material.RekorLogs() {
		inUse := true
		for _, t := range times {
			early := !log.ValidityPeriodStart.IsZero() && t.Before(log.ValidityPeriodStart)
			late := !log.ValidityPeriodEnd.IsZero() && t.After(log.ValidityPeriodEnd)
			inUse = inUse && !early && !late
		}
		if inUse {
			logs[id] = log
		}
	}
	return materialWithLogs{TrustedMaterial: r.material, logs: logs}
}

type materialWithLogs struct {
	root.TrustedMaterial
	logs map[string]*root.TransparencyLog
}

func (m materialWithLogs) RekorLogs() map[string]*root.TransparencyLog { return m.logs }
