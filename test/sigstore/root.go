package sigstore

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// trustedRootMediaType is the only one that there is.
const trustedRootMediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// Roots says which instance each part of a trusted root is of. A part that is
// nil is absent.
type Roots struct {
	CA, CTLog, Rekor1, Rekor2, TSA *Sigstore

	// Valid is when the parts are trusted.
	Valid Validity
}

// Validity is when each part of a trusted root is trusted.
type Validity struct {
	CA, CTLog, Rekor1, Rekor2, TSA Period
}

// Period is a span of time. In a trusted root a zero Start stands for the time
// at which the certificates of the authorities begin, and a zero End for no
// end.
type Period struct {
	Start, End time.Time
}

// TrustedRoot makes a trusted_root.json. With several Roots it has the parts of
// all of them, in their order.
func TrustedRoot(all ...Roots) ([]byte, error) {
	trusted := &trustroot.TrustedRoot{MediaType: trustedRootMediaType}
	for _, roots := range all {
		if err := roots.addTo(trusted); err != nil {
			return nil, fmt.Errorf("making a trusted root: %w", err)
		}
	}
	document, err := protojson.Marshal(trusted)
	if err != nil {
		return nil, fmt.Errorf("encoding a trusted root: %w", err)
	}
	return compact(document)
}

// compact takes out the spaces that protojson puts in at random.
func compact(document []byte) ([]byte, error) {
	var raw json.RawMessage = document
	return json.Marshal(raw)
}

func (r Roots) addTo(trusted *trustroot.TrustedRoot) error {
	if r.CA != nil {
		trusted.CertificateAuthorities = append(trusted.CertificateAuthorities,
			r.CA.authorityInstance("https://fulcio.sigstore.example", r.CA.ca.chain(), r.Valid.CA))
	}
	if r.TSA != nil {
		chain := append([]*x509.Certificate{r.TSA.tsaLeaf}, r.TSA.tsa.chain()...)
		trusted.TimestampAuthorities = append(trusted.TimestampAuthorities,
			r.TSA.authorityInstance("https://timestamp.sigstore.example/api/v1/timestamp", chain, r.Valid.TSA))
	}
	if r.CTLog != nil {
		log, err := r.CTLog.ctlogInstance(r.Valid.CTLog)
		if err != nil {
			return err
		}
		trusted.Ctlogs = append(trusted.Ctlogs, log)
	}
	if r.Rekor1 != nil {
		log, err := r.Rekor1.logInstance("https://"+rekor1Host, r.Rekor1.rekor1.key.Public(),
			common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, r.Rekor1.rekor1.id[:], r.Valid.Rekor1)
		if err != nil {
			return err
		}
		trusted.Tlogs = append(trusted.Tlogs, log)
	}
	if r.Rekor2 != nil {
		log, err := r.Rekor2.logInstance("https://"+rekor2Host, r.Rekor2.rekor2.key.Public(),
			common.PublicKeyDetails_PKIX_ED25519, r.Rekor2.rekor2.id, r.Valid.Rekor2)
		if err != nil {
			return err
		}
		trusted.Tlogs = append(trusted.Tlogs, log)
	}
	return nil
}

func (s *Sigstore) ctlogInstance(valid Period) (*trustroot.TransparencyLogInstance, error) {
	public, err := x509.MarshalPKIXPublicKey(s.ctlog.Public())
	if err != nil {
		return nil, err
	}
	id := rekorHash.New()
	id.Write(public)
	return s.logInstance("https://ctfe.sigstore.example/test", s.ctlog.Public(),
		common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, id.Sum(nil), valid)
}

func (s *Sigstore) logInstance(url string, key crypto.PublicKey, details common.PublicKeyDetails, id []byte, valid Period) (*trustroot.TransparencyLogInstance, error) {
	public, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &trustroot.TransparencyLogInstance{
		BaseUrl:       url,
		HashAlgorithm: common.HashAlgorithm_SHA2_256,
		PublicKey: &common.PublicKey{
			RawBytes:   public,
			KeyDetails: details,
			ValidFor:   s.validFor(valid),
		},
		LogId: &common.LogId{KeyId: id},
	}, nil
}

// authorityInstance is an authority with its chain, the root last.
func (s *Sigstore) authorityInstance(uri string, chain []*x509.Certificate, valid Period) *trustroot.CertificateAuthority {
	subject := chain[len(chain)-1].Subject
	certificates := make([]*common.X509Certificate, len(chain))
	for i, certificate := range chain {
		certificates[i] = &common.X509Certificate{RawBytes: certificate.Raw}
	}
	return &trustroot.CertificateAuthority{
		Subject:   &common.DistinguishedName{Organization: subject.Organization[0], CommonName: subject.CommonName},
		Uri:       uri,
		CertChain: &common.X509CertificateChain{Certificates: certificates},
		ValidFor:  s.validFor(valid),
	}
}

// validFor applies the defaults.
func (s *Sigstore) validFor(valid Period) *common.TimeRange {
	if valid.Start.IsZero() {
		valid.Start = s.lifetime().Start
	}
	span := &common.TimeRange{Start: timestamppb.New(valid.Start)}
	if !valid.End.IsZero() {
		span.End = timestamppb.New(valid.End)
	}
	return span
}
