/* tests/bench/html_check: a strict look at a page, as far as its own writer needs one. */
#ifndef XT_TESTS_BENCH_HTML_CHECK_H
#define XT_TESTS_BENCH_HTML_CHECK_H

/* Fails the test unless: every tag is one that reports use, every element is closed in order, every
 * attribute is quoted and stands once, ids are unique and what refers to an id finds it, no attribute
 * holds an address, an event handler or a style, and text has no stray '<' or '&'. */
void html_check(const char *page);

/* How often part stands in text. */
unsigned occurrences(const char *text, const char *part);

#endif
