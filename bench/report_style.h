/* bench/report_style: the looks of a report's page, and its script.
 *
 * The page's policy (Content-Security-Policy) allows exactly these two texts, by their SHA-256, and
 * nothing else: no other script or style, no image, no font, nothing from anywhere. So whatever a result
 * file says can at most be read. A test compares the digests with the texts.
 */
#ifndef XT_BENCH_REPORT_STYLE_H
#define XT_BENCH_REPORT_STYLE_H

extern const char xt_report_style[];
extern const char xt_report_script[];
#define XT_REPORT_STYLE_DIGEST "eLlFSxIy2U2NpQRWsBx6vJX4UaxkEkcaBaj+uk3C2QI="
#define XT_REPORT_SCRIPT_DIGEST "sNtxHQRYaNCOLJF75yL2cxe0HbjhMGWEVwJzPzZJZs4="

#endif
