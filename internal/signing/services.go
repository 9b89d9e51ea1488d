package signing

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/assay-dev/assay/internal/verify"
)

// The services of the public instance, as Cosign v2 has them.
// https://docs.sigstore.dev/about/overview/
const (
	PublicFulcio = "https://fulcio.sigstore.dev"
	PublicRekor  = "https://rekor.sigstore.dev"
)

// Services are whom a signature is made with, beside its key.
type Services struct {
	// Fulcio is the URL of the certificate authority; needed without a key.
	Fulcio string
	// Logs record the signature; none for no log.
	Logs []Log
	// TimestampAuthorities are the URLs of RFC 3161 authorities, with their path.
	TimestampAuthorities []string
}

// Log is a transparency log.
type Log struct {
	URL string
	// Version of Rekor's API: 1 or 2.
	Version uint32
}

// ServicesOf selects services from a signing configuration, a file as
// "cosign signing-config create" and Sigstore's TUF repository have it, as it
// asks for, at a time. The v2 format takes one log, of Rekor v1, and one
// timestamp authority. Fulcio is selected for keyless signing alone, and logs
// only if logged is set.
func ServicesOf(config []byte, format verify.Format, keyless, logged bool, now time.Time) (Services, error) {
	c, err := root.NewSigningConfigFromJSON(config)
	if err != nil {
		return Services{}, fmt.Errorf("expected JSON of the media type %s, found something else", root.SigningConfigMediaType02)
	}
	var s Services
	if keyless {
		service, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), []uint32{1}, now)
		if err != nil {
			return Services{}, fmt.Errorf("expected a certificate authority that is in use, found none in caUrls")
		}
		s.Fulcio = service.URL
	}
	versions, most := []uint32{1, 2}, maxWitnesses
	if format == verify.FormatCosign {
		versions, most = []uint32{1}, 1
	}
	if logs := c.RekorLogURLs(); logged && len(logs) > 0 {
		chosen, err := root.SelectServices(logs, c.RekorLogURLsConfig(), versions, now)
		if err != nil && format == verify.FormatCosign && slices.ContainsFunc(logs, func(l root.Service) bool { return l.MajorAPIVersion == 2 }) {
			return Services{}, ErrRekor2
		}
		if err != nil {
			return Services{}, fmt.Errorf("expected logs that are in use, as rekorTlogConfig selects them, found too few in rekorTlogUrls")
		}
		for _, l := range chosen[:min(most, len(chosen))] {
			s.Logs = append(s.Logs, Log{URL: l.URL, Version: l.MajorAPIVersion})
		}
	}
	if authorities := c.TimestampAuthorityURLs(); len(authorities) > 0 {
		chosen, err := root.SelectServices(authorities, c.TimestampAuthorityURLsConfig(), []uint32{1}, now)
		if err != nil {
			return Services{}, fmt.Errorf("expected timestamp authorities that are in use, as tsaConfig selects them, found too few in tsaUrls")
		}
		for _, a := range chosen[:min(most, len(chosen))] {
			s.TimestampAuthorities = append(s.TimestampAuthorities, a.URL)
		}
	}
	return s, nil
}

// urls are all of the services.
func (s Services) urls() []string {
	all := slices.Clone(s.TimestampAuthorities)
	for _, l := range s.Logs {
		all = append(all, l.URL)
	}
	if s.Fulcio != "" {
		all = append(all, s.Fulcio)
	}
	return all
}

// CheckURL refuses what is no URL of a service: http or https, a host, perhaps a
// path, and nothing secret. Its error does not repeat it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("expected the URL of a service, https://host[/path], without user, query and fragment, found another text")
	}
	return nil
}
