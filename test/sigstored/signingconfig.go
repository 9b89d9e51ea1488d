package sigstored

import (
	"fmt"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Services are those that a signing configuration names beside Fulcio and the
// issuer of addresses: with none, nothing is logged and nothing is timestamped.
type Services struct {
	// Rekor1 and Rekor2 are the logs. Of both, a client takes the newer one that
	// it knows.
	Rekor1, Rekor2 bool

	// TSA is the timestamp authority.
	TSA bool
}

// SigningConfig is a signing configuration in JSON, of version 0.2.
//
// https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_trustroot.proto
func (s *Stack) SigningConfig(o Services) ([]byte, error) {
	one := &trustroot.ServiceConfiguration{Selector: trustroot.ServiceSelector_ANY}
	config := &trustroot.SigningConfig{
		MediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		CaUrls:    []*trustroot.Service{service(s.Fulcio, 1)},
		OidcUrls:  []*trustroot.Service{service(s.issuers.url(kindEmail), 1)},
	}
	if o.Rekor2 {
		config.RekorTlogUrls = append(config.RekorTlogUrls, service(s.Rekor2, 2))
	}
	if o.Rekor1 {
		config.RekorTlogUrls = append(config.RekorTlogUrls, service(s.Rekor1, 1))
	}
	if o.Rekor1 || o.Rekor2 {
		config.RekorTlogConfig = one
	}
	if o.TSA {
		config.TsaUrls = []*trustroot.Service{service(s.TSA, 1)}
		config.TsaConfig = one
	}
	content, err := protojson.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding a signing configuration: %w", err)
	}
	return content, nil
}

// service is a service in use.
func service(url string, version uint32) *trustroot.Service {
	return &trustroot.Service{
		Url: url, MajorApiVersion: version, Operator: "sigstore.example",
		ValidFor: &common.TimeRange{Start: timestamppb.New(time.Now().Add(-time.Hour))},
	}
}
