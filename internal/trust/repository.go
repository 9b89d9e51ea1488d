package trust

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/assay-dev/assay/internal/verify"
)

// trustedRootName is the target, in the top-level targets role; delegations
// are not followed.
const trustedRootName = "trusted_root.json"

// What the files of a repository may have in bytes; Sigstore's have some
// thousands. A smaller length that is signed goes before.
const (
	maxRootBytes        = 256 << 10
	maxTimestampBytes   = 16 << 10
	maxSnapshotBytes    = 1 << 20
	maxTargetsBytes     = 1 << 20
	maxTrustedRootBytes = verify.MaxTrustedRootBytes
	// maxRootRotations is how many new versions of root.json one refresh
	// follows; the next one goes on from there.
	maxRootRotations = 256
)

// repository is a TUF repository and the newest of its files that were
// verified. Each is kept as soon as it is, so that nothing older is accepted
// afterwards, whatever becomes of the rest of the refresh.
type repository struct {
	client *client

	root      []byte
	timestamp []byte
	snapshot  []byte
	targets   []byte
	target    []byte
}

// newRepository begins with a root.json that is trusted.
func newRepository(c *client, root []byte) (*repository, error) {
	if len(root) > maxRootBytes {
		return nil, fmt.Errorf("more than %d bytes", maxRootBytes)
	}
	if _, err := trustedmetadata.New(root); err != nil {
		return nil, errors.New("expected the root.json of a TUF repository, signed by its own keys")
	}
	return &repository{client: c, root: root}, nil
}

func (r *repository) String() string { return "the TUF mirror " + r.client.base.Host }

// fetch is one run of the client workflow. The metadata expires when the first
// of the four roles does.
// https://theupdateframework.github.io/specification/latest/#detailed-client-workflow
func (r *repository) fetch(ctx context.Context, now time.Time) ([]byte, time.Time, error) {
	defer r.client.close()
	trusted, err := trustedmetadata.New(r.root)
	if err != nil {
		return nil, time.Time{}, untrusted("root.json", err)
	}
	trusted.RefTime = now // 5.1: one start time for the whole of it.
	steps := []func(context.Context, *trustedmetadata.TrustedMetadata) error{
		r.updateRoot, r.updateTimestamp, r.updateSnapshot, r.updateTargets, r.updateTarget,
	}
	for _, step := range steps {
		if err := step(ctx, trusted); err != nil {
			return nil, time.Time{}, err
		}
	}
	return r.target, expiry(trusted), nil
}

// updateRoot follows root.json version by version (5.3).
func (r *repository) updateRoot(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	for range maxRootRotations {
		name := fmt.Sprintf("%d.root.json", trusted.Root.Signed.Version+1)
		raw, found, err := r.client.get(ctx, name, maxRootBytes)
		if err != nil {
			return err
		}
		if !found {
			break
		}
		if _, err := trusted.UpdateRoot(raw); err != nil {
			return untrusted(name, err)
		}
		r.root = raw
	}
	return unexpired("root.json", trusted.Root.Signed.Expires, trusted)
}

// updateTimestamp reads timestamp.json (5.4).
func (r *repository) updateTimestamp(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	if r.timestamp != nil {
		// Loaded for its version, although it may have expired. It is refused
		// only if root.json has taken its keys away, and then 5.3.11 has it
		// forgotten: so a repository recovers from a thief who signed far ahead.
		_, _ = trusted.UpdateTimestamp(r.timestamp)
	}
	const name = "timestamp.json"
	raw, err := r.client.need(ctx, name, maxTimestampBytes)
	if err != nil {
		return err
	}
	_, err = trusted.UpdateTimestamp(raw)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		return unexpired(name, trusted.Timestamp.Signed.Expires, trusted)
	}
	if err != nil {
		return untrusted(name, err)
	}
	if trusted.Timestamp.Signed.Meta["snapshot.json"] == nil {
		return failed(Untrusted, "%s: it does not name snapshot.json", name)
	}
	r.timestamp = raw
	return unexpired(name, trusted.Timestamp.Signed.Expires, trusted)
}

// updateSnapshot reads snapshot.json, unless the timestamp still names the one
// that is there (5.5).
func (r *repository) updateSnapshot(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	if r.snapshot != nil {
		// One that is old, or has expired, is loaded for its versions, as above.
		if _, err := trusted.UpdateSnapshot(r.snapshot, true); err == nil {
			return unexpired("snapshot.json", trusted.Snapshot.Signed.Expires, trusted)
		}
	}
	meta := trusted.Timestamp.Signed.Meta["snapshot.json"]
	name := versioned(trusted, "snapshot.json", meta.Version)
	raw, err := r.client.need(ctx, name, limit(meta.Length, maxSnapshotBytes))
	if err != nil {
		return err
	}
	if _, err := trusted.UpdateSnapshot(raw, false); err != nil {
		return untrusted(name, err)
	}
	for _, file := range trusted.Snapshot.Signed.Meta {
		if file == nil { // go-tuf would panic on it at every later refresh.
			return failed(Untrusted, "%s: a file without a version", name)
		}
	}
	r.snapshot = raw
	return unexpired(name, trusted.Snapshot.Signed.Expires, trusted)
}

// updateTargets reads targets.json, unless the snapshot still names the one
// that is there (5.6).
func (r *repository) updateTargets(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	if r.targets != nil {
		if _, err := trusted.UpdateTargets(r.targets); err == nil {
			return unexpired("targets.json", trusted.Targets[metadata.TARGETS].Signed.Expires, trusted)
		}
	}
	meta := trusted.Snapshot.Signed.Meta["targets.json"]
	if meta == nil {
		return failed(Untrusted, "snapshot.json: it does not name targets.json")
	}
	name := versioned(trusted, "targets.json", meta.Version)
	raw, err := r.client.need(ctx, name, limit(meta.Length, maxTargetsBytes))
	if err != nil {
		return err
	}
	if _, err := trusted.UpdateTargets(raw); err != nil {
		return untrusted(name, err)
	}
	r.targets = raw
	return unexpired(name, trusted.Targets[metadata.TARGETS].Signed.Expires, trusted)
}

// updateTarget reads trusted_root.json, unless it is the one that is there
// (5.7).
func (r *repository) updateTarget(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	target := trusted.Targets[metadata.TARGETS].Signed.Targets[trustedRootName]
	if target == nil {
		return failed(NoTrustedRoot, "targets.json: it does not name %s", trustedRootName)
	}
	if target.Length > maxTrustedRootBytes {
		return failed(NoTrustedRoot, "%s: expected at most %d bytes, found %d", trustedRootName, maxTrustedRootBytes, target.Length)
	}
	if r.target != nil && target.VerifyLengthHashes(r.target) == nil {
		return nil
	}
	name := targetPath(trusted, target.Hashes)
	raw, err := r.client.need(ctx, name, target.Length)
	if err != nil {
		return err
	}
	if err := target.VerifyLengthHashes(raw); err != nil {
		return untrusted(name, err)
	}
	r.target = raw
	return nil
}

// unexpired is stricter than go-tuf by one instant, as state.expired is.
func unexpired(name string, expires time.Time, trusted *trustedmetadata.TrustedMetadata) error {
	if !expires.After(trusted.RefTime) {
		return failed(Expired, "%s: it has expired", name)
	}
	return nil
}

// expiry is when the first of the four roles expires.
func expiry(trusted *trustedmetadata.TrustedMetadata) time.Time {
	first := trusted.Root.Signed.Expires
	for _, expires := range []time.Time{
		trusted.Timestamp.Signed.Expires,
		trusted.Snapshot.Signed.Expires,
		trusted.Targets[metadata.TARGETS].Signed.Expires,
	} {
		if expires.Before(first) {
			first = expires
		}
	}
	return first
}

// versioned is the name of a metadata file: <version>.<name> where the
// repository has consistent snapshots.
func versioned(trusted *trustedmetadata.TrustedMetadata, name string, version int64) string {
	if !trusted.Root.Signed.ConsistentSnapshot {
		return name
	}
	return fmt.Sprintf("%d.%s", version, name)
}

// targetPath is the path of trusted_root.json: with <hash>. before the name
// where the repository has consistent snapshots, with any of the hashes.
func targetPath(trusted *trustedmetadata.TrustedMetadata, hashes metadata.Hashes) string {
	if !trusted.Root.Signed.ConsistentSnapshot {
		return "targets/" + trustedRootName
	}
	hash, ok := hashes["sha256"]
	if !ok {
		hash = hashes["sha512"]
	}
	return "targets/" + hex.EncodeToString(hash) + "." + trustedRootName
}

// limit is a signed length, which is optional in metadata, or at most a bound.
func limit(signed, bound int64) int64 {
	if signed > 0 && signed < bound {
		return signed
	}
	return bound
}
