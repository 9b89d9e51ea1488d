package story

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/registry"
)

// traces is a collector, and the spans that it was sent.
type traces struct {
	url *url.URL

	mu    sync.Mutex
	spans []*otlp.Span
	text  strings.Builder
}

func newCollector(t *testing.T) *traces {
	t.Helper()
	c := &traces{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		message := &collector.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, message) != nil {
			http.Error(w, "not OTLP", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.text.WriteString(prototext.Format(message))
		for _, resource := range message.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(server.Close)
	var err error
	if c.url, err = url.Parse(server.URL); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *traces) into(o *controllers.Options) {
	o.OTLPEndpoint, o.OTLPSamplingRatio, o.Version = c.url, 1, "v1.2.3"
}

// attributes are a span's, as "key=value", in order.
func attributes(span *otlp.Span) []string {
	var found []string
	for _, a := range span.GetAttributes() {
		value := a.GetValue().GetStringValue()
		if n := a.GetValue().GetIntValue(); n != 0 {
			value = http.StatusText(int(n))
		}
		found = append(found, a.GetKey()+"="+value)
	}
	slices.Sort(found)
	return found
}

// trace is the first trace whose root has an attribute and, below it, a step:
// the names of its spans, each after that of the span that it is below of.
func (c *traces) trace(attribute, step string) (root *otlp.Span, below map[string]int, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if len(s.GetParentSpanId()) != 0 || !slices.Contains(attributes(s), attribute) {
			continue
		}
		names, below := map[string]string{string(s.GetSpanId()): ""}, map[string]int{}
		for range 3 { // Spans come in the order of their ends.
			for _, child := range c.spans {
				parent, ok := names[string(child.GetParentSpanId())]
				if ok && len(child.GetParentSpanId()) != 0 && names[string(child.GetSpanId())] == "" {
					names[string(child.GetSpanId())] = parent + "/" + child.GetName()
					below[parent+"/"+child.GetName()]++
				}
			}
		}
		if below["/"+step] > 0 {
			return s, below, hex.EncodeToString(s.GetTraceId())
		}
	}
	return nil, nil, ""
}

// A look at a ModuleSource is a trace: its steps, and below them the requests;
// the steps' exemplars lead to it. It holds no secret and no answer.
func TestStoryTraces(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := newWorld(t, settings{registry: registry.Options{Auth: &registry.TokenAuth{}}, options: func(o *controllers.Options) {
		c.into(o)
		o.AllowInsecureCredentials = true
	}})
	digest := w.release("app", "1.0.0", "bundle")
	w.change(dockerConfig("pull", login(w.registry.Host(), password)))
	w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.SecretRef = &v1alpha1.LocalObjectReference{Name: "pull"} }))
	w.ready("app")

	var root *otlp.Span
	var below map[string]int
	var id string
	w.awaitThat("the trace is with the collector", func() bool {
		root, below, id = c.trace("assay.revision.digest="+digest, "publish")
		return root != nil
	})
	want := map[string]int{
		"/resolve": 1, "/signatures": 1, "/verify": 1, "/fetch": 1, "/publish": 1,
		"/resolve/registry ping": 1, "/resolve/registry token": 1, "/resolve/registry tags": 1, "/resolve/registry manifest": 1,
		"/signatures/registry manifest": 2, "/signatures/registry referrers": 1, "/signatures/registry blob": 1,
		"/fetch/registry manifest": 1, "/fetch/registry blob": 2,
	}
	if diff := cmp.Diff(want, below); diff != "" {
		t.Errorf("the trace (-expected +found):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"assay.name=app", "assay.namespace=" + w.namespace, "assay.revision.digest=" + digest}, attributes(root)); diff != "" {
		t.Errorf("the attributes of the root (-expected +found):\n%s", diff)
	}
	if root.GetName() != "reconcile ModuleSource" || root.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("found %v", root)
	}
	if exemplars := w.exemplars("assay_step_duration_seconds"); !slices.Contains(exemplars, id) {
		t.Errorf("expected an exemplar of the trace %s, found %v", id, exemplars)
	}

	// A refusal has its reason, where it arose and on the whole.
	unsigned := w.push("app", "1.1.0", nil)
	w.poll("app")
	w.awaitThat("the refusal is with the collector", func() bool {
		root, _, _ = c.trace("assay.revision.digest="+unsigned, "verify")
		return root != nil
	})
	if !slices.Contains(attributes(root), "assay.reason=NoSignature") || root.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("expected the reason, found %v", root)
	}
	w.stopController()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, never := range []string{password, basic(password), "Bearer", "Authorization", "authentication required", "expected"} {
		if strings.Contains(c.text.String(), never) {
			t.Errorf("the traces hold %q", never)
		}
	}
	if !strings.Contains(c.text.String(), "assay-controller") || !strings.Contains(c.text.String(), "v1.2.3") {
		t.Error("expected the service and its version in the traces")
	}
}

// exemplars are the traces that the buckets of a histogram name.
func (w *world) exemplars(name string) []string {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var found []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, b := range m.GetHistogram().GetBucket() {
				if e := b.GetExemplar(); e != nil && family.GetName() == name {
					found = append(found, e.GetLabel()[0].GetValue())
				}
			}
		}
	}
	return found
}

// A collector that hangs delays no look, and the controller's end by no more
// than the time in which it sends what is left. That nobody waits while the queue
// is full is TestCollectorsThatFail's.
func TestStoryTracesToNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // It takes connections, and nobody answers.
	silent := &traces{url: &url.URL{Scheme: "http", Host: listener.Addr().String()}}
	logged := &log{}
	w := newWorld(t, settings{options: func(o *controllers.Options) { silent.into(o); logged.into(o) }})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	for range 20 {
		w.poll("app")
	}
	began := time.Now()
	w.stopController()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("expected the controller to end in time, found %s", took)
	}
	if n := strings.Count(logged.String(), "traces are lost"); n != 1 {
		t.Errorf("expected the log to say once that traces are lost, found %d times", n)
	}
}
