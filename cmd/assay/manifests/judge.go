package manifests

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/evidence"
	"github.com/assay-dev/assay/controllers/inputs"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Judge says of each ModuleSource what the controller would say.
type Judge struct {
	// Server answers as the API server would.
	Server *APIServer
	// References has what ModuleSources name.
	References *References
	// Syncer asks the registries. It needs no store.
	Syncer *source.Syncer
	// DefaultRoot is the trusted root of those that name none. It is called by
	// several goroutines.
	DefaultRoot func() (*verify.TrustedRoot, error)
	// Credentials are the user's own for a repository, for where spec.secretRef
	// cannot be read. It is called by several goroutines.
	Credentials func(ctx context.Context, repository registry.Repository, insecure bool) (registry.Credentials, error)
	// AllowInsecureCredentials allows insecure: true beside secretRef, as the
	// controller's flag of that name does.
	AllowInsecureCredentials bool
	// Namespace is that of objects without one.
	Namespace string
	// Concurrent is how many are judged at the same time; at least 1.
	Concurrent int
	// Now is the clock.
	Now func() time.Time
}

// All judges the ModuleSources of a set, each within its own spec.timeout. The
// report is in their order. What was not judged when ctx ended is Unknown.
func (j *Judge) All(ctx context.Context, set *Set) Report {
	var sources []moduleSource
	for _, o := range set.Objects {
		if o.isSource() {
			sources = append(sources, j.Server.read(ctx, o, j.Namespace))
		}
	}
	results := make([]Result, len(sources))
	slots := make(chan struct{}, max(j.Concurrent, 1))
	var running sync.WaitGroup
	for i, m := range sources {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			results[i] = j.one(ctx, m)
		})
	}
	running.Wait()
	noteRepeated(sources, results)
	return summarize(results, set)
}

// noteRepeated notes ModuleSources that stand in several places.
func noteRepeated(sources []moduleSource, results []Result) {
	first := map[string]Position{}
	for i, m := range sources {
		id := m.namespace + "/" + m.name
		if before, ok := first[id]; ok {
			results[i].Notes = append(results[i].Notes, m.note(Warning, "metadata.name", "the same ModuleSource is in %s: of the two, the one that is applied last holds", before))
			continue
		}
		first[id] = m.Position
	}
}

// one judges one ModuleSource.
func (j *Judge) one(ctx context.Context, m moduleSource) Result {
	r := Result{Position: m.Position, Namespace: m.namespace, Name: printable(m.name, 300), Verdict: Invalid, Reason: v1alpha1.ReasonInvalidSpec, Problems: m.problems}
	if m.typed == nil {
		return r
	}
	r.URL, r.Notes = m.typed.Spec.URL, m.notes()
	request, note, failed := j.request(ctx, m)
	r.Notes = append(r.Notes, note...)
	if len(failed) > 0 {
		r.fail(m, failed...)
		return r
	}
	timeout := m.typed.Spec.Timeout.Duration
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	outcome, err := j.Syncer.Check(limited, request)
	if r.Digest, r.Version = outcome.Revision.Digest, outcome.Revision.Version; r.Digest != "" {
		r.Revision = outcome.Revision.String()
	}
	if !outcome.Verified.IsZero() {
		r.Signatures = evidence.Of(outcome.Verified, metav1.NewTime(j.Now())).Signatures
	}
	if err == nil {
		r.Verdict, r.Reason = Verified, v1alpha1.ReasonSignatureVerified
		return r
	}
	var e *source.Error
	if !errors.As(err, &e) {
		e = &source.Error{Kind: source.Transient, Reason: v1alpha1.ReasonRegistryUnavailable, Message: err.Error()}
	}
	r.fail(m, e)
	switch {
	case r.Verdict != Unknown:
	case ctx.Err() != nil:
		r.Problems[0].Message += ": " + context.Cause(ctx).Error()
	case limited.Err() != nil:
		r.Problems[0].Message += fmt.Sprintf(": it took longer than spec.timeout, which is %s", timeout)
	}
	return r
}

// request reads what the spec names, as the controller does.
func (j *Judge) request(ctx context.Context, m moduleSource) (source.Request, []Note, []*source.Error) {
	obj := m.typed.DeepCopy()
	obj.Spec.Suspend = false // Of what is suspended, a reviewer wants to know all the same.
	reader := inputs.Reader{Objects: j.References, DefaultRoot: j.DefaultRoot, AllowInsecureCredentials: j.AllowInsecureCredentials}
	policy, gone, err := reader.Policy(ctx, obj)
	switch {
	case err != nil:
		return source.Request{}, nil, append(gone, err)
	case len(gone) > 0:
		return source.Request{}, nil, gone
	}
	ref := obj.Spec.SecretRef
	if ref == nil || obj.Spec.Insecure && !j.AllowInsecureCredentials || j.References.readable(reference{"Secret", obj.Namespace, ref.Name}) {
		request, err := reader.Request(ctx, obj, policy)
		if err != nil {
			return source.Request{}, nil, []*source.Error{err}
		}
		return request, nil, nil
	}
	return j.withUsersCredentials(ctx, m, reader, obj, policy)
}

// withUsersCredentials asks the registry as the user where spec.secretRef cannot
// be read: in Git it seldom stands.
func (j *Judge) withUsersCredentials(ctx context.Context, m moduleSource, reader inputs.Reader, obj *v1alpha1.ModuleSource, policy verify.Policy) (source.Request, []Note, []*source.Error) {
	name := obj.Spec.SecretRef.Name
	obj.Spec.SecretRef = nil
	request, err := reader.Request(ctx, obj, policy)
	if err != nil {
		return source.Request{}, nil, []*source.Error{err}
	}
	credentials, failed := j.Credentials(ctx, request.Repository, obj.Spec.Insecure)
	if failed != nil {
		return source.Request{}, nil, []*source.Error{inputs.Failure(source.Transient, v1alpha1.ReasonAuthenticationFailed, "spec.secretRef: %v", failed)}
	}
	request.Credentials = credentials
	whose := "the credentials of your own Docker configuration"
	if credentials.IsZero() {
		whose = "no credentials, of which your own Docker configuration has none for it"
	}
	return request, []Note{m.note(Info, "spec.secretRef", "the Secret %q cannot be read here: the registry was asked with %s", name, whose)}, nil
}

// fail takes why something is not verified.
func (r *Result) fail(m moduleSource, errs ...*source.Error) {
	first := errs[0]
	for _, err := range errs {
		if err.Kind == source.Transient { // What is missing is missing; the rest can be judged then.
			first = err
			break
		}
	}
	r.Reason = first.Reason
	switch first.Kind {
	case source.Refused:
		r.Verdict = Refused
	case source.Unpublishable:
		r.Verdict = Unpublishable
	case source.Invalid:
		r.Verdict = Invalid
	default:
		r.Verdict = Unknown
	}
	r.Problems = nil
	for _, err := range errs {
		r.Problems = append(r.Problems, m.located(err.Message))
	}
}

// named is a message about a field of the spec.
var named = regexp.MustCompile(`^(spec\.[A-Za-z0-9.\[\]]+): `)

// located is a message with the line that it is about: the field that it names, or
// the one that says which revision is wanted.
func (m moduleSource) located(message string) Problem {
	at, text := m.selection(), message
	if found := named.FindStringSubmatch(message); found != nil {
		at, text = found[1], message[len(found[0]):]
	}
	return m.problem(at, "%s", printable(text, 4<<10))
}
