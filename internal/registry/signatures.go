package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/assay-dev/assay/internal/verify"
)

// Bounds of what is looked at to find signatures.
const (
	// maxSignatureBytes bounds one signature: the largest seen in the wild,
	// with a certificate chain and a log entry, are under 32 KiB.
	maxSignatureBytes = 4 << 20
	// maxSignaturesBytes bounds all signatures of a digest together.
	maxSignaturesBytes = 32 << 20
	// maxReferrers bounds the descriptors that are read, most of which may be
	// no signatures.
	maxReferrers     = 20_000
	maxReferrerPages = 200
)

const (
	simpleSigningMediaType  = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundleMediaTypePrefix   = "application/vnd.dev.sigstore.bundle"
	emptyConfigMediaType    = "application/vnd.oci.empty.v1+json"
	predicateTypeAnnotation = "dev.sigstore.bundle.predicateType"
)

// descriptor is the part of an OCI descriptor that is read. The annotations
// stay raw: a value of the wrong type must not spoil the neighbours.
type descriptor struct {
	MediaType    string          `json:"mediaType"`
	ArtifactType string          `json:"artifactType"`
	Digest       string          `json:"digest"`
	Size         int64           `json:"size"`
	Annotations  json.RawMessage `json:"annotations"`
}

// collector gathers the signatures of one digest within the bounds.
type collector struct {
	client     *Client
	digest     string
	bytes      int64
	payloads   map[string][]byte // by digest: many signatures share a payload
	signatures []verify.Signature
}

// Signatures collects every signature of a digest, in both formats, as bytes:
// those under Cosign's tag and those attached as referrers. Both places are
// always looked at. Beyond verify.MaxSignatures the error has the reason
// TooManySignatures. "Not found" is an answer; any other failure is an error
// of type *Error, never the absence of signatures.
func (c *Client) Signatures(ctx context.Context, digest string) ([]verify.Signature, error) {
	if !digestPattern.MatchString(digest) {
		return nil, errorf(RegistryUnavailable, "expected a sha256 digest, found %.100q", digest)
	}
	s := &collector{client: c, digest: digest, payloads: map[string][]byte{}}
	layers, err := s.cosignLayers(ctx)
	if err != nil {
		return nil, err
	}
	bundles, err := s.bundleManifests(ctx)
	if err != nil {
		return nil, err
	}
	if len(layers)+len(bundles) > verify.MaxSignatures {
		return nil, s.tooMany()
	}
	for _, l := range layers {
		if err := s.addCosign(ctx, l); err != nil {
			return nil, err
		}
	}
	for _, b := range bundles {
		if err := s.addBundle(ctx, b); err != nil {
			return nil, err
		}
	}
	return s.signatures, nil
}

func (s *collector) add(signature verify.Signature) error {
	if len(s.signatures) == verify.MaxSignatures {
		return s.tooMany()
	}
	s.signatures = append(s.signatures, signature)
	return nil
}

func (s *collector) tooMany() *Error {
	return errorf(TooManySignatures, "%s: found more than %d signatures, and no more are judged", s.digest, verify.MaxSignatures)
}

// cosignLayers reads the manifest under the tag sha256-<hex>.sig, whose layers
// are the signatures.
func (s *collector) cosignLayers(ctx context.Context) ([]descriptor, error) {
	return s.taggedLayers(ctx, ".sig", simpleSigningMediaType)
}

// taggedLayers reads the layers of a media type of the manifest under the tag
// sha256-<hex><suffix>.
func (s *collector) taggedLayers(ctx context.Context, suffix, mediaType string) ([]descriptor, error) {
	tag := strings.Replace(s.digest, ":", "-", 1) + suffix
	body, found, err := s.client.manifest(ctx, tag, acceptManifests)
	if err != nil || !found {
		return nil, err
	}
	manifest := readManifest(body)
	if manifest == nil {
		// Something is there, and it cannot be read: judged as such.
		return nil, s.add(verify.Signature{Format: verify.FormatCosign})
	}
	if manifest.Layers.more {
		return nil, s.tooMany()
	}
	return slices.DeleteFunc(manifest.Layers.first, func(d descriptor) bool { return d.MediaType != mediaType }), nil
}

func (s *collector) addCosign(ctx context.Context, d descriptor) error {
	payload, err := s.payload(ctx, d)
	if err != nil {
		return err
	}
	return s.add(verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: d.Annotations})
}

// payload gets the blob of a signature, once for all signatures that share it.
func (s *collector) payload(ctx context.Context, d descriptor) ([]byte, error) {
	if b, ok := s.payloads[d.Digest]; ok {
		return b, nil
	}
	if !digestPattern.MatchString(d.Digest) || d.Size < 0 {
		return nil, nil // It names no blob: judged as an empty signature.
	}
	if d.Size > maxSignatureBytes || s.bytes+d.Size > maxSignaturesBytes {
		return nil, errorf(TooManySignatures, "%s: found signatures of more than %d bytes, or of more than %d together", s.digest, maxSignatureBytes, maxSignaturesBytes)
	}
	b, err := s.client.smallBlob(ctx, d.Digest, d.Size)
	if err != nil {
		return nil, err
	}
	s.bytes += d.Size
	s.payloads[d.Digest] = b
	return b, nil
}

// bundleManifests lists the referrers that may be signatures.
func (s *collector) bundleManifests(ctx context.Context) ([]string, error) {
	referrers, err := s.referrers(ctx)
	if err != nil {
		return nil, err
	}
	return referrers.sorted(), nil
}

// isCandidate passes over what says itself that it is no signature.
func isCandidate(d descriptor) bool {
	if !mayHoldBundles(d) {
		return false
	}
	return !isAttestation(d.Annotations)
}

// mayHoldBundles passes over what says itself that it holds something else. The
// index under the fallback tag may carry the empty config's media type as the
// artifact type, as Cosign v2 writes it.
func mayHoldBundles(d descriptor) bool {
	if d.MediaType != string(types.OCIManifestSchema1) || !digestPattern.MatchString(d.Digest) {
		return false
	}
	if d.ArtifactType != "" && d.ArtifactType != emptyConfigMediaType && !strings.HasPrefix(d.ArtifactType, bundleMediaTypePrefix) {
		return false
	}
	return true
}

// isAttestation believes an annotation only where it excludes: what it says is
// not verified, and whatever it hides is one signature less.
func isAttestation(raw json.RawMessage) bool {
	var annotations map[string]json.RawMessage
	var predicateType string
	if json.Unmarshal(raw, &annotations) != nil || json.Unmarshal(annotations[predicateTypeAnnotation], &predicateType) != nil {
		return false
	}
	return predicateType != verify.SignPredicateType
}

func (s *collector) addBundle(ctx context.Context, digest string) error {
	body, found, err := s.client.manifest(ctx, digest, acceptManifests)
	if err != nil {
		return err
	}
	defer s.client.drop(len(body))
	if !found {
		return errorf(RegistryUnavailable, "%s: the registry lists the referrer %s and does not have it", s.digest, digest)
	}
	manifest := readManifest(body)
	if manifest == nil || isAttestation(manifest.Annotations) {
		return nil
	}
	return s.addBundles(ctx, manifest)
}

// addBundles adds the bundles in a manifest, whatever they are.
func (s *collector) addBundles(ctx context.Context, manifest *manifest) error {
	if manifest.Layers.more {
		return s.tooMany()
	}
	for _, l := range manifest.Layers.first {
		if !strings.HasPrefix(l.MediaType, bundleMediaTypePrefix) {
			continue
		}
		payload, err := s.payload(ctx, l)
		if err != nil {
			return err
		}
		if err := s.add(verify.Signature{Format: verify.FormatBundle, Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

// referrers lists what refers to the digest, through the referrers API or,
// where there is none, the fallback tag.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
func (s *collector) referrers(ctx context.Context) (all candidateList, err error) {
	c := s.client
	if c.hasNoReferrers() {
		return s.fallbackTag(ctx)
	}
	next := c.repo.url("referrers", s.digest)
	for page := 0; next != ""; page++ {
		if page == maxReferrerPages || all.listed > maxReferrers {
			return all, errorf(TooManySignatures, "%s: found more than %d referrers or %d pages of them", s.digest, maxReferrers, maxReferrerPages)
		}
		found, following, supported, err := s.referrersPage(ctx, next)
		if err != nil {
			return all, err
		}
		if !supported && page > 0 {
			// It has the API, or there was no first page.
			return all, errorf(RegistryUnavailable, "%s: the registry lists referrers and does not have the list's next page", s.digest)
		}
		if !supported {
			c.noteNoReferrers()
			return s.fallbackTag(ctx)
		}
		all.add(found)
		next = following
	}
	return all, nil
}

func (s *collector) referrersPage(ctx context.Context, address string) (found *candidateList, next string, supported bool, err error) {
	const what = "referrers"
	response, err := s.client.do(ctx, KindReferrers, what, http.MethodGet, address, string(types.OCIImageIndex))
	if err != nil {
		return nil, "", false, err
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusOK:
		if !isMediaType(response.Header, types.OCIImageIndex) {
			return nil, "", false, nil
		}
	case http.StatusNotFound, http.StatusBadRequest, http.StatusNotAcceptable:
		return nil, "", false, nil
	default:
		return nil, "", false, statusError(s.client.named(what), response.StatusCode, response.Header)
	}
	body, err := s.client.readAll(ctx, s.client.named(what), response.Body, maxPageBytes)
	if err != nil {
		return nil, "", false, err
	}
	defer s.client.drop(len(body))
	index := readIndex(body)
	if index == nil {
		return nil, "", false, errorf(RegistryUnavailable, "%s: the registry's list of referrers is not one", s.digest)
	}
	next, err = s.client.nextPage(response)
	return index, next, true, err
}

// fallbackTag reads the index under the tag sha256-<hex>.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api
func (s *collector) fallbackTag(ctx context.Context) (candidateList, error) {
	tag := strings.Replace(s.digest, ":", "-", 1)
	body, found, err := s.client.manifest(ctx, tag, string(types.OCIImageIndex))
	if err != nil || !found {
		return candidateList{}, err
	}
	defer s.client.drop(len(body))
	if index := readIndex(body); index != nil {
		if index.listed > maxReferrers {
			return candidateList{}, errorf(TooManySignatures, "%s: found more than %d referrers", s.digest, maxReferrers)
		}
		return *index, nil
	}
	return candidateList{}, s.add(verify.Signature{Format: verify.FormatBundle})
}

type manifest struct {
	MediaType    string          `json:"mediaType"`
	ArtifactType string          `json:"artifactType"`
	Config       descriptor      `json:"config"`
	Layers       layerList       `json:"layers"`
	Annotations  json.RawMessage `json:"annotations"`
}

// readManifest returns nil for what is no image manifest.
func readManifest(body []byte) *manifest {
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return nil
	}
	return &m
}

// readIndex returns nil for what is no image index, and never nil for one.
func readIndex(body []byte) *candidateList {
	index := struct {
		Manifests candidateList `json:"manifests"`
	}{}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil
	}
	return &index.Manifests
}
