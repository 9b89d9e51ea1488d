package verify

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// terms are those on which a signature is judged.
type terms struct {
	// key is the key that must have made it; nil for a certificate by an
	// authority of root.
	key signature.Verifier
	// root is what is trusted besides; nil for a key with the log ignored, under
	// which neither log entries nor timestamps are looked at.
	root *TrustedRoot
	log  LogMode
}

// material is what the libraries trust, with the logs that were in use at
// these times.
func (t terms) material(times []time.Time) root.TrustedMaterial {
	var m root.TrustedMaterial = &root.BaseTrustedMaterial{}
	if t.root != nil {
		m = t.root.logsAt(times)
	}
	if t.key != nil {
		m = materialWithKey{TrustedMaterial: m, key: root.NewExpiringKey(t.key, time.Time{}, time.Time{})}
	}
	return m
}

// materialWithKey trusts a key, whatever hint a signature gives, at any time.
type materialWithKey struct {
	root.TrustedMaterial
	key *root.ExpiringKey
}

func (m materialWithKey) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return m.key, nil
}

// shortfall is why a signature does not meet the terms. Its detail is a text of
// ours, with nothing of the signature in it.
type shortfall struct {
	standing standing
	detail   string
}

func (s *shortfall) Error() string { return s.detail }

// proof is what stands around a signature: where it is logged, and when it was
// made.
type proof struct {
	log *LogEntry
	// stamps are the times by timestamp authorities, times those and the logs'.
	stamps, times []time.Time
	// material is what the libraries are to trust for this signature.
	material root.TrustedMaterial
}

const nobodySaysWhen = "no log and no timestamp authority of the trusted root says when it was made"

// establish verifies what stands around a signature: log entry, timestamps, and
// the certificate at each of the times that follow from these. It says which of
// them falls short, which the libraries do in words only; the verdict is still
// theirs, on the whole. The error is a *shortfall.
func (t terms) establish(e sigstore.SignedEntity) (proof, error) {
	if t.root == nil {
		return proof{material: t.material(nil)}, nil
	}
	entries, err := e.TlogEntries()
	if err != nil {
		return proof{}, &shortfall{wronglyLogged, "its log entry cannot be read"}
	}
	if t.log == LogRequire && len(entries) == 0 {
		return proof{}, &shortfall{unlogged, "it carries no log entry"}
	}
	p := proof{}
	if p.stamps, err = t.stamped(e); err != nil {
		return proof{}, err
	}
	p.times = p.stamps
	p.material = t.material(p.stamps)
	if t.log == LogRequire {
		var promised []time.Time
		if p.log, promised, err = logged(e, entries, p.material, len(p.stamps) > 0); err != nil {
			return proof{}, err
		}
		p.times = slices.Concat(p.stamps, promised)
	}
	if t.key != nil {
		return p, nil
	}
	if len(p.times) == 0 {
		return proof{}, &shortfall{untimed, nobodySaysWhen}
	}
	return p, certified(e, p)
}

// stamped returns the times at which timestamp authorities of the root saw the
// signature. Where the root has any and the signature carries timestamps, one
// at least must be theirs.
func (t terms) stamped(e sigstore.SignedEntity) ([]time.Time, error) {
	stamps, err := e.Timestamps()
	switch {
	case err != nil:
		return nil, &shortfall{untimed, "its timestamps cannot be read"}
	case len(stamps) == 0 || !t.root.hasTimestamper():
		return nil, nil
	}
	var times []time.Time
	for _, stamp := range stamps {
		// Each alone: of several by one authority the library takes the first.
		verified, err := sigstore.VerifySignedTimestampWithThreshold(stampedEntity{e, stamp}, t.root.material, 1)
		if err != nil {
			continue
		}
		for _, v := range verified {
			times = append(times, v.Time.UTC())
		}
	}
	if len(times) == 0 {
		return nil, &shortfall{untimed, "its timestamp is of another signature, or by no authority of the trusted root"}
	}
	return times, nil
}

// stampedEntity is a signature with one of its timestamps alone.
type stampedEntity struct {
	sigstore.SignedEntity
	stamp []byte
}

func (e stampedEntity) Timestamps() ([][]byte, error) { return [][]byte{e.stamp}, nil }

// logged verifies the log entries, all together and each alone, and returns the
// one to report and the times that the logs promised. Where neither the entry
// nor, if stamped, a timestamp says when it was made, only a log whose key has
// no last day counts.
func logged(e sigstore.SignedEntity, entries []*tlog.Entry, material root.TrustedMaterial, stamped bool) (*LogEntry, []time.Time, error) {
	logs := material.RekorLogs()
	known := false
	for _, entry := range entries {
		_, ok := logs[logID(entry)]
		known = known || ok
	}
	if !known {
		return nil, nil, &shortfall{wronglyLogged, "its log entry is by no log of the trusted root that was in use then"}
	}
	const spliced = "its log entry does not verify, or is that of another signature"
	times, err := sigstore.VerifyTlogEntry(entityOf(e, entries), material, 1, true)
	if err != nil {
		return nil, nil, &shortfall{wronglyLogged, spliced}
	}
	var best *LogEntry
	var promised []time.Time
	for _, entry := range entries {
		if len(entries) > 1 {
			times, err = sigstore.VerifyTlogEntry(entityOf(e, []*tlog.Entry{entry}), material, 1, true)
		}
		if err != nil || !isOf(entry, e, material) {
			continue
		}
		found := &LogEntry{LogID: logID(entry), URL: logs[logID(entry)].BaseURL, Index: provenIndex(entry)}
		if len(times) > 0 {
			found.IntegratedTime = times[0].Time.UTC() // a local time would read the zone's file to be worded
			promised = append(promised, found.IntegratedTime)
		}
		if found.IntegratedTime.IsZero() && !stamped && !logs[found.LogID].ValidityPeriodEnd.IsZero() {
			continue
		}
		if best == nil || found.before(best) {
			best = found
		}
	}
	if best == nil {
		return nil, nil, &shortfall{wronglyLogged, "its log entry is that of another signature, or by a log whose key was retired, and nothing says when it was made"}
	}
	return best, promised, nil
}

func logID(entry *tlog.Entry) string { return hex.EncodeToString([]byte(entry.LogKeyID())) }

// provenIndex is the index that the log vouches for: that of the inclusion
// proof, or where there is a promise, the one that it signs.
func provenIndex(entry *tlog.Entry) int64 {
	if entry.HasInclusionPromise() || entry.IsRekorV2() {
		return entry.LogIndex()
	}
	return entry.TransparencyLogEntry().GetInclusionProof().GetLogIndex()
}

// rekor1Origin is how a checkpoint of Rekor v1 begins.
var rekor1Origin = regexp.MustCompile(`^.* - [0-9]+\n`)

// isOf reports whether an entry is about this signature by this signer. The
// library compares it for Rekor v1, and for Rekor v2 by the hash of the entry,
// unless a checkpoint looks like one of v1's: then it compares nothing, and
// proves another index than the one that the entry gives. No log makes such.
func isOf(entry *tlog.Entry, e sigstore.SignedEntity, material root.TrustedMaterial) bool {
	checkpoint := entry.TransparencyLogEntry().GetInclusionProof().GetCheckpoint().GetEnvelope()
	if entry.IsRekorV2() && rekor1Origin.MatchString(checkpoint) {
		return false
	}
	signed, err := e.SignatureContent()
	if err != nil {
		return false
	}
	by, err := e.VerificationContent()
	if err != nil {
		return false
	}
	return bytes.Equal(entry.Signature(), signed.Signature()) && by.CompareKey(entry.PublicKey(), material)
}

// entityOf is a signature with these log entries alone, whose certificate is
// taken to be valid at any time: whether it was is the next question.
func entityOf(e sigstore.SignedEntity, entries []*tlog.Entry) sigstore.SignedEntity {
	return timelessEntity{SignedEntity: e, entries: entries}
}

type timelessEntity struct {
	sigstore.SignedEntity
	entries []*tlog.Entry
}

func (e timelessEntity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

func (e timelessEntity) VerificationContent() (sigstore.VerificationContent, error) {
	content, err := e.SignedEntity.VerificationContent()
	return timelessContent{content}, err
}

type timelessContent struct{ sigstore.VerificationContent }

func (timelessContent) ValidAtTime(time.Time, root.TrustedMaterial) bool { return true }

// certified verifies the certificate: that an authority of the root issued it,
// that it was valid at each of the times, and that it is in a certificate
// transparency log, where the root has one.
func certified(e sigstore.SignedEntity, p proof) error {
	content, err := e.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return &shortfall{uncertified, "it carries no certificate"}
	}
	leaf := content.Certificate()
	for i, at := range p.times {
		if slices.ContainsFunc(p.times[:i], at.Equal) {
			continue
		}
		chains, err := sigstore.VerifyLeafCertificate(at, leaf, p.material)
		switch {
		case err != nil && (at.Before(leaf.NotBefore) || at.After(leaf.NotAfter)):
			return &shortfall{uncertified, "its certificate was not valid when it was made"}
		case err != nil:
			return &shortfall{uncertified, "no authority of the trusted root issued its certificate for signing code"}
		case len(p.material.CTLogs()) == 0:
			continue
		}
		if err := sigstore.VerifySignedCertificateTimestamp(chains, 1, p.material); err != nil {
			return &shortfall{uncertified, "its certificate is in no certificate transparency log of the trusted root"}
		}
	}
	return nil
}
