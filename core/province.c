#include "core/province.h"

/* clang-format off: a table */
static const struct xt_province provinces[XT_PROVINCE_COUNT + 1] = {
    [1] = {1, 8053663, "Hà Nội", "Hà Nội"},
    [2] = {2, 854679, "Hà Giang", "Tuyên Quang"},
    [3] = {4, 530341, "Cao Bằng", "Cao Bằng"},
    [4] = {6, 313905, "Bắc Kạn", "Thái Nguyên"},
    [5] = {8, 784811, "Tuyên Quang", "Tuyên Quang"},
    [6] = {10, 730420, "Lào Cai", "Lào Cai"},
    [7] = {11, 598856, "Điện Biên", "Điện Biên"},
    [8] = {12, 460196, "Lai Châu", "Lai Châu"},
    [9] = {14, 1248415, "Sơn La", "Sơn La"},
    [10] = {15, 821030, "Yên Bái", "Lào Cai"},
    [11] = {17, 854131, "Hòa Bình", "Phú Thọ"},
    [12] = {19, 1286751, "Thái Nguyên", "Thái Nguyên"},
    [13] = {20, 781655, "Lạng Sơn", "Lạng Sơn"},
    [14] = {22, 1320324, "Quảng Ninh", "Quảng Ninh"},
    [15] = {24, 1803950, "Bắc Giang", "Bắc Ninh"},
    [16] = {25, 1463726, "Phú Thọ", "Phú Thọ"},
    [17] = {26, 1151154, "Vĩnh Phúc", "Phú Thọ"},
    [18] = {27, 1368840, "Bắc Ninh", "Bắc Ninh"},
    [19] = {30, 1892254, "Hải Dương", "Hải Phòng"},
    [20] = {31, 2028514, "Hải Phòng", "Hải Phòng"},
    [21] = {33, 1252731, "Hưng Yên", "Hưng Yên"},
    [22] = {34, 1860447, "Thái Bình", "Hưng Yên"},
    [23] = {35, 852800, "Hà Nam", "Ninh Bình"},
    [24] = {36, 1780393, "Nam Định", "Ninh Bình"},
    [25] = {37, 982487, "Ninh Bình", "Ninh Bình"},
    [26] = {38, 3640128, "Thanh Hóa", "Thanh Hóa"},
    [27] = {40, 3327791, "Nghệ An", "Nghệ An"},
    [28] = {42, 1288866, "Hà Tĩnh", "Hà Tĩnh"},
    [29] = {44, 895430, "Quảng Bình", "Quảng Trị"},
    [30] = {45, 632375, "Quảng Trị", "Quảng Trị"},
    [31] = {46, 1128620, "Thừa Thiên Huế", "Huế"},
    [32] = {48, 1134310, "Đà Nẵng", "Đà Nẵng"},
    [33] = {49, 1495812, "Quảng Nam", "Đà Nẵng"},
    [34] = {51, 1231697, "Quảng Ngãi", "Quảng Ngãi"},
    [35] = {52, 1486918, "Bình Định", "Gia Lai"},
    [36] = {54, 872964, "Phú Yên", "Đắk Lắk"},
    [37] = {56, 1231107, "Khánh Hòa", "Khánh Hòa"},
    [38] = {58, 590467, "Ninh Thuận", "Khánh Hòa"},
    [39] = {60, 1230808, "Bình Thuận", "Lâm Đồng"},
    [40] = {62, 540438, "Kon Tum", "Quảng Ngãi"},
    [41] = {64, 1513847, "Gia Lai", "Gia Lai"},
    [42] = {66, 1869322, "Đắk Lắk", "Đắk Lắk"},
    [43] = {67, 622168, "Đắk Nông", "Lâm Đồng"},
    [44] = {68, 1296906, "Lâm Đồng", "Lâm Đồng"},
    [45] = {70, 994679, "Bình Phước", "Đồng Nai"},
    [46] = {72, 1169165, "Tây Ninh", "Tây Ninh"},
    [47] = {74, 2426561, "Bình Dương", "TP. Hồ Chí Minh"},
    [48] = {75, 3097107, "Đồng Nai", "Đồng Nai"},
    [49] = {77, 1148313, "Bà Rịa - Vũng Tàu", "TP. Hồ Chí Minh"},
    [50] = {79, 8993082, "TP. Hồ Chí Minh", "TP. Hồ Chí Minh"},
    [51] = {80, 1688547, "Long An", "Tây Ninh"},
    [52] = {82, 1764185, "Tiền Giang", "Đồng Tháp"},
    [53] = {83, 1288463, "Bến Tre", "Vĩnh Long"},
    [54] = {84, 1009168, "Trà Vinh", "Vĩnh Long"},
    [55] = {86, 1022791, "Vĩnh Long", "Vĩnh Long"},
    [56] = {87, 1599504, "Đồng Tháp", "Đồng Tháp"},
    [57] = {89, 1908352, "An Giang", "An Giang"},
    [58] = {91, 1723067, "Kiên Giang", "An Giang"},
    [59] = {92, 1235171, "Cần Thơ", "Cần Thơ"},
    [60] = {93, 733017, "Hậu Giang", "Cần Thơ"},
    [61] = {94, 1199653, "Sóc Trăng", "Cần Thơ"},
    [62] = {95, 907236, "Bạc Liêu", "Cà Mau"},
    [63] = {96, 1194476, "Cà Mau", "Cà Mau"},
};

/* By index: its unit, numbered in the order of the first province of each. */
static const uint8_t units_of[XT_PROVINCE_COUNT + 1] = {
    0,  1,  2,  3,  4,  2,  5,  6,  7,  8,  5,  9,  4,  10, 11, 12, 9,  9,  12, 13, 13, 14,
    14, 15, 15, 15, 16, 17, 18, 19, 19, 20, 21, 21, 22, 23, 24, 25, 25, 26, 22, 23, 24, 26,
    26, 27, 28, 29, 27, 29, 29, 28, 30, 31, 31, 31, 30, 32, 32, 33, 33, 33, 34, 34,
};
/* clang-format on */

const struct xt_province *xt_province_at(unsigned index)
{
    xt_require(index >= 1 && index <= XT_PROVINCE_COUNT);
    return &provinces[index];
}

unsigned xt_province_unit(unsigned index)
{
    xt_require(index >= 1 && index <= XT_PROVINCE_COUNT);
    return units_of[index];
}

const char *xt_province_unit_name(unsigned unit)
{
    unsigned index = 1;
    while (index <= XT_PROVINCE_COUNT && units_of[index] != unit) {
        index++;
    }
    return xt_province_at(index)->unit;
}

unsigned xt_province_index(unsigned code)
{
    unsigned low = 1, high = XT_PROVINCE_COUNT;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (provinces[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return provinces[low].code == code ? low : XT_PROVINCE_NONE;
}

enum xt_status xt_province_parse(struct xt_span text, unsigned *index)
{
    if (text.size != 3) {
        return XT_INVALID;
    }
    unsigned code = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9) {
            return XT_INVALID;
        }
        code = code * 10 + digit;
    }
    *index = xt_province_index(code);
    return *index == XT_PROVINCE_NONE ? XT_INVALID : XT_OK;
}
