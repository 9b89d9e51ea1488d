package announce

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
)

func TestKubernetes(t *testing.T) {
	transition := Transition{
		About: about, Type: corev1.EventTypeWarning, Reason: "NoSignature", Note: "nobody signed it",
		Annotations: map[string]string{"source.assay.dev/digest": "sha256:1"}, At: metav1.NewMicroTime(time.Unix(1_000_000, 42000)),
	}
	for name, c := range map[string]struct {
		answers []int // of one request after the other; the last one stays
		want    result
		asked   int
	}{
		"taken":                       {[]int{201}, sent, 1},
		"had it":                      {[]int{409}, sent, 1},
		"not for now":                 {[]int{503, 201}, sent, 2},
		"too many":                    {[]int{429, 201}, sent, 2},
		"never":                       {[]int{403}, failed, 1},
		"for a namespace that is not": {[]int{404}, failed, 1},
		"a broken connection":         {[]int{0, 201}, sent, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var found []eventsv1.Event
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				code := c.answers[min(len(found), len(c.answers)-1)]
				var event eventsv1.Event
				if err := json.NewDecoder(r.Body).Decode(&event); err != nil || r.Method != "POST" || r.URL.Path != "/apis/events.k8s.io/v1/namespaces/apps/events" {
					t.Errorf("found %s %s, %v", r.Method, r.URL, err)
				}
				found = append(found, event)
				if code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				if code == 201 {
					_ = json.NewEncoder(w).Encode(event)
					return
				}
				_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: int32(code), Reason: map[int]metav1.StatusReason{
					409: "AlreadyExists", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests", 503: "ServiceUnavailable",
				}[code]})
			}))
			server.Config.ErrorLog = nil
			defer server.Close()
			client, err := eventsv1client.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
			if err != nil {
				t.Fatal(err)
			}
			k := &Kubernetes{Client: client, Log: logr.Discard()}
			if r := k.send(context.Background(), transition); r != c.want || len(found) != c.asked {
				t.Fatalf("expected %s after %d requests, found %s, %d", names[c.want], c.asked, names[r], len(found))
			}
			for _, event := range found[1:] {
				if diff := cmp.Diff(found[0], event); diff != "" {
					t.Errorf("expected the same at each try (-first +next):\n%s", diff)
				}
			}
			first := found[0]
			if first.Name == "" || first.Note != transition.Note || first.Reason != transition.Reason || first.Type != transition.Type || first.Regarding != about || first.Action != "Verify" {
				t.Errorf("found %+v", first)
			}
			if diff := cmp.Diff(transition.Annotations, first.Annotations); diff != "" {
				t.Errorf("annotations (-expected +found):\n%s", diff)
			}
		})
	}
}

// Wherever a long name of an object is cut, an event's is one that the API server
// takes.
func TestEventOfALongName(t *testing.T) {
	for _, at := range []string{"-", ".", "--", "a"} {
		object := about
		object.Name = strings.Repeat("a", 230-len(at)) + at + strings.Repeat("b", 20)
		name := eventOf(Transition{About: object, At: metav1.NewMicroTime(time.Unix(1_000_000, 0))}).Name
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
