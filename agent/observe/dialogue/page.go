package dialogue

// Bounds of the pages: one holds a ClientHello with a post-quantum key share
// (about 1.8 kB) or the head of a request with cookies.
const (
	pageBytes = 4096
	maxPages  = 64
)

// page is the beginning of one message that is spread over segments.
type page struct {
	n     int
	bytes [pageBytes]byte
	next  *page
}

// pages lends out a bounded number of pages. The zero value is ready.
type pages struct {
	made int
	free *page
}

// take returns a page, nil when all are lent out.
func (s *pages) take() *page {
	if p := s.free; p != nil {
		s.free, p.next = p.next, nil
		return p
	}
	if s.made == maxPages {
		return nil
	}
	s.made++
	return new(page)
}

// release takes back the page of side k.
func (s *pages) release(c *conversation, k int) {
	p := c.pages[k]
	if p == nil {
		return
	}
	clear(p.bytes[:p.n])
	p.n = 0
	p.next, s.free = s.free, p
	c.pages[k] = nil
}

// gather adds b to the page of side k and returns all that is there, and how many
// bytes of b were taken; nil when there is no page to be had.
func (t *Table) gather(c *conversation, k int, b []byte) (all []byte, n int) {
	p := c.pages[k]
	if p == nil {
		if p = t.pages.take(); p == nil {
			t.stats.Unpaged++
			return nil, 0
		}
		c.pages[k] = p
	}
	n = copy(p.bytes[p.n:], b)
	p.n += n
	return p.bytes[:p.n], n
}
