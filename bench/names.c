/* bench/names: data only; see the header. */
#include "bench/names.h"

#define LIST(name)                                                                                 \
    const struct xt_name_list xt_names_##name = {name##_parts,                                     \
                                                 sizeof(name##_parts) / sizeof(name##_parts[0])}

/* clang-format off */
static const struct xt_name_part family_parts[] = {
    {"Nguyễn", 3100, 'b'}, {"Trần", 1090, 'b'}, {"Lê", 890, 'b'}, {"Phạm", 650, 'b'},
    {"Hoàng", 350, 'b'}, {"Huỳnh", 250, 'b'}, {"Phan", 400, 'b'}, {"Vũ", 250, 'b'},
    {"Võ", 250, 'b'}, {"Đặng", 210, 'b'}, {"Bùi", 220, 'b'}, {"Đỗ", 160, 'b'},
    {"Hồ", 150, 'b'}, {"Ngô", 140, 'b'}, {"Dương", 110, 'b'}, {"Trương", 170, 'b'},
    {"Đinh", 150, 'b'}, {"Trịnh", 100, 'b'}, {"Nông", 100, 'b'}, {"Mai", 100, 'b'},
    {"Hà", 100, 'b'}, {"Đoàn", 90, 'b'}, {"Lương", 90, 'b'}, {"Cao", 90, 'b'},
    {"Đào", 80, 'b'}, {"Lý", 50, 'b'}, {"Lưu", 50, 'b'}, {"Triệu", 50, 'b'},
    {"Phùng", 40, 'b'}, {"Đàm", 40, 'b'}, {"Chu", 30, 'b'}, {"Vi", 30, 'b'},
    {"Thái", 30, 'b'}, {"Lâm", 30, 'b'}, {"Tạ", 30, 'b'}, {"Vương", 30, 'b'},
    {"Tô", 30, 'b'}, {"H'", 30, 'f'}, {"Y", 30, 'm'},
    {"Quách", 0, 'b'}, {"Kiều", 0, 'b'}, {"Tống", 0, 'b'}, {"Doãn", 0, 'b'}, {"Nghiêm", 0, 'b'},
    {"Ninh", 0, 'b'}, {"Khuất", 0, 'b'}, {"Lại", 0, 'b'}, {"Mạc", 0, 'b'}, {"Thạch", 0, 'b'},
    {"Sơn", 0, 'b'}, {"Danh", 0, 'b'}, {"Kim", 0, 'b'}, {"Châu", 0, 'b'}, {"La", 0, 'b'},
    {"Giang", 0, 'b'}, {"Giàng", 0, 'b'}, {"Vàng", 0, 'b'}, {"Sùng", 0, 'b'}, {"Thào", 0, 'b'},
    {"Lò", 0, 'b'}, {"Quàng", 0, 'b'}, {"Cầm", 0, 'b'}, {"Bế", 0, 'b'}, {"Hứa", 0, 'b'},
    {"Ma", 0, 'b'}, {"Mông", 0, 'b'}, {"Lục", 0, 'b'}, {"Đồng", 0, 'b'}, {"Từ", 0, 'b'},
    {"Văn", 0, 'b'}, {"Tăng", 0, 'b'}, {"Thân", 0, 'b'}, {"Bạch", 0, 'b'}, {"Ông", 0, 'b'},
    {"Âu", 0, 'b'}, {"Đường", 0, 'b'}, {"Khổng", 0, 'b'}, {"Phó", 0, 'b'}, {"Viên", 0, 'b'},
    {"Ung", 0, 'b'}, {"Uông", 0, 'b'}, {"Tôn", 0, 'b'}, {"Nhan", 0, 'b'}, {"Diệp", 0, 'b'},
    {"Cù", 0, 'b'}, {"Mẫn", 0, 'b'}, {"Ngụy", 0, 'b'}, {"Phí", 0, 'b'}, {"Quan", 0, 'b'},
    {"Thẩm", 0, 'b'}, {"Tiêu", 0, 'b'}, {"Trang", 0, 'b'}, {"Biện", 0, 'b'}, {"Chế", 0, 'b'},
    {"Chử", 0, 'b'}, {"Cung", 0, 'b'}, {"Đới", 0, 'b'}, {"Đậu", 0, 'b'}, {"Đổng", 0, 'b'},
    {"Hàn", 0, 'b'}, {"Hầu", 0, 'b'}, {"Lều", 0, 'b'}, {"Lữ", 0, 'b'}, {"Mã", 0, 'b'},
    {"Ngọ", 0, 'b'}, {"Nhữ", 0, 'b'}, {"Siu", 0, 'b'}, {"Kpă", 0, 'b'}, {"Rơ Châm", 0, 'b'},
};
LIST(family);

static const struct xt_name_part middle_parts[] = {
    {"Thị", 5100, 'f'}, {"Thu", 400, 'f'}, {"Ngọc", 400, 'f'}, {"Thanh", 350, 'f'},
    {"Kim", 350, 'f'}, {"Hồng", 300, 'f'}, {"Minh", 300, 'f'}, {"Bích", 300, 'f'},
    {"Phương", 300, 'f'},
    {"Mai", 0, 'f'}, {"Mỹ", 0, 'f'}, {"Lan", 0, 'f'}, {"Quỳnh", 0, 'f'}, {"Diệu", 0, 'f'},
    {"Tuyết", 0, 'f'}, {"Xuân", 0, 'f'}, {"Khánh", 0, 'f'}, {"Bảo", 0, 'f'}, {"Hoài", 0, 'f'},
    {"Như", 0, 'f'}, {"Thùy", 0, 'f'}, {"Thúy", 0, 'f'}, {"Vân", 0, 'f'}, {"Yến", 0, 'f'},
    {"Hải", 0, 'f'}, {"Cẩm", 0, 'f'}, {"Trúc", 0, 'f'}, {"Gia", 0, 'f'}, {"Hà", 0, 'f'},
    {"Ánh", 0, 'f'}, {"Diễm", 0, 'f'}, {"Tường", 0, 'f'}, {"Tố", 0, 'f'}, {"Uyển", 0, 'f'},
    {"Văn", 2400, 'm'}, {"Đức", 600, 'm'}, {"Minh", 600, 'm'}, {"Quang", 550, 'm'},
    {"Thanh", 550, 'm'}, {"Hữu", 500, 'm'}, {"Đình", 450, 'm'}, {"Công", 450, 'm'},
    {"Xuân", 400, 'm'}, {"Quốc", 400, 'm'},
    {"Ngọc", 0, 'm'}, {"Trọng", 0, 'm'}, {"Tuấn", 0, 'm'}, {"Hoàng", 0, 'm'}, {"Anh", 0, 'm'},
    {"Duy", 0, 'm'}, {"Gia", 0, 'm'}, {"Bá", 0, 'm'}, {"Viết", 0, 'm'}, {"Thế", 0, 'm'},
    {"Mạnh", 0, 'm'}, {"Tiến", 0, 'm'}, {"Huy", 0, 'm'}, {"Khắc", 0, 'm'}, {"Nhật", 0, 'm'},
    {"Bảo", 0, 'm'}, {"Phước", 0, 'm'}, {"Trung", 0, 'm'}, {"Chí", 0, 'm'}, {"Việt", 0, 'm'},
    {"Hải", 0, 'm'}, {"Sỹ", 0, 'm'}, {"Khánh", 0, 'm'}, {"Thành", 0, 'm'}, {"Tấn", 0, 'm'},
};
LIST(middle);

static const struct xt_name_part second_parts[] = {
    {"Thanh", 0, 'b'}, {"Minh", 0, 'b'}, {"Ngọc", 0, 'b'}, {"Hoàng", 0, 'b'}, {"Khánh", 0, 'b'},
    {"Bảo", 0, 'b'}, {"Gia", 0, 'b'}, {"Hải", 0, 'b'}, {"Xuân", 0, 'b'}, {"Nhật", 0, 'b'},
    {"Thiên", 0, 'b'}, {"An", 0, 'b'}, {"Hà", 0, 'b'}, {"Quỳnh", 0, 'f'}, {"Phương", 0, 'f'},
    {"Thu", 0, 'f'}, {"Kim", 0, 'f'}, {"Hồng", 0, 'f'}, {"Bích", 0, 'f'}, {"Mỹ", 0, 'f'},
    {"Thùy", 0, 'f'}, {"Thúy", 0, 'f'}, {"Tuyết", 0, 'f'}, {"Như", 0, 'f'}, {"Yến", 0, 'f'},
    {"Hoài", 0, 'f'}, {"Ánh", 0, 'f'}, {"Diệu", 0, 'f'}, {"Cẩm", 0, 'f'}, {"Trúc", 0, 'f'},
    {"Đức", 0, 'm'}, {"Quang", 0, 'm'}, {"Anh", 0, 'm'}, {"Tuấn", 0, 'm'}, {"Quốc", 0, 'm'},
    {"Duy", 0, 'm'}, {"Hữu", 0, 'm'}, {"Trung", 0, 'm'}, {"Tiến", 0, 'm'}, {"Chí", 0, 'm'},
    {"Thành", 0, 'm'}, {"Huy", 0, 'm'}, {"Phúc", 0, 'm'}, {"Việt", 0, 'm'}, {"Hùng", 0, 'm'},
};
LIST(second);

static const struct xt_name_part given_parts[] = {
    {"Anh", 340, 'b'}, {"Phương", 180, 'b'}, {"Thanh", 160, 'b'}, {"Minh", 120, 'b'},
    {"Ngọc", 110, 'b'}, {"An", 100, 'b'}, {"Hà", 100, 'b'}, {"Nguyên", 90, 'b'},
    {"Khánh", 90, 'b'}, {"Tú", 80, 'b'}, {"Dương", 70, 'b'}, {"Giang", 70, 'b'},
    {"Tâm", 70, 'b'}, {"Bình", 60, 'b'},
    {"Linh", 220, 'f'}, {"Nhi", 120, 'f'}, {"Trang", 120, 'f'}, {"Thủy", 120, 'f'},
    {"Vy", 100, 'f'}, {"Thảo", 100, 'f'}, {"Thu", 100, 'f'}, {"Hương", 100, 'f'},
    {"Hoa", 90, 'f'}, {"Ngân", 90, 'f'}, {"Vân", 90, 'f'}, {"My", 90, 'f'}, {"Hiền", 80, 'f'},
    {"Uyên", 80, 'f'}, {"Quỳnh", 80, 'f'}, {"Như", 70, 'f'}, {"Trinh", 70, 'f'},
    {"Huyền", 60, 'f'}, {"Quyên", 60, 'f'}, {"Yến", 60, 'f'}, {"Tuyền", 60, 'f'},
    {"Mai", 60, 'f'}, {"Chi", 60, 'f'}, {"Trâm", 60, 'f'}, {"Hằng", 60, 'f'}, {"Ly", 60, 'f'},
    {"Hùng", 120, 'm'}, {"Dũng", 120, 'm'}, {"Huy", 110, 'm'}, {"Tiến", 100, 'm'},
    {"Hiếu", 90, 'm'}, {"Duy", 90, 'm'}, {"Tuấn", 90, 'm'}, {"Nam", 80, 'm'}, {"Đức", 80, 'm'},
    {"Sơn", 80, 'm'}, {"Hoàng", 80, 'm'}, {"Đạt", 70, 'm'}, {"Long", 70, 'm'},
    {"Phúc", 70, 'm'}, {"Cường", 70, 'm'}, {"Hải", 70, 'm'}, {"Nhân", 60, 'm'},
    {"Thắng", 60, 'm'}, {"Trung", 60, 'm'}, {"Lâm", 60, 'm'}, {"Quang", 60, 'm'},
    {"Phong", 60, 'm'}, {"Hào", 60, 'm'}, {"Quân", 60, 'm'}, {"Vinh", 60, 'm'},
    {"Bảo", 60, 'm'}, {"Toàn", 60, 'm'},
    {"Lan", 0, 'f'}, {"Nga", 0, 'f'}, {"Hạnh", 0, 'f'}, {"Loan", 0, 'f'}, {"Liên", 0, 'f'},
    {"Hồng", 0, 'f'}, {"Nhung", 0, 'f'}, {"Oanh", 0, 'f'}, {"Phượng", 0, 'f'}, {"Thúy", 0, 'f'},
    {"Thùy", 0, 'f'}, {"Thơ", 0, 'f'}, {"Thoa", 0, 'f'}, {"Thư", 0, 'f'}, {"Tiên", 0, 'f'},
    {"Trúc", 0, 'f'}, {"Tuyết", 0, 'f'}, {"Xuân", 0, 'f'}, {"Xuyến", 0, 'f'}, {"Diễm", 0, 'f'},
    {"Diệp", 0, 'f'}, {"Diệu", 0, 'f'}, {"Dung", 0, 'f'}, {"Duyên", 0, 'f'}, {"Đào", 0, 'f'},
    {"Hân", 0, 'f'}, {"Hậu", 0, 'f'}, {"Hòa", 0, 'f'}, {"Huệ", 0, 'f'}, {"Kiều", 0, 'f'},
    {"Kim", 0, 'f'}, {"Lệ", 0, 'f'}, {"Liễu", 0, 'f'}, {"Mơ", 0, 'f'}, {"Mỹ", 0, 'f'},
    {"Nguyệt", 0, 'f'}, {"Nhàn", 0, 'f'}, {"Nụ", 0, 'f'}, {"Nương", 0, 'f'}, {"Sương", 0, 'f'},
    {"Tươi", 0, 'f'}, {"Thắm", 0, 'f'}, {"Thoan", 0, 'f'}, {"Trà", 0, 'f'}, {"Vui", 0, 'f'},
    {"Yên", 0, 'f'}, {"Bích", 0, 'f'}, {"Cúc", 0, 'f'}, {"Châu", 0, 'f'}, {"Gấm", 0, 'f'},
    {"Hoài", 0, 'f'}, {"Lài", 0, 'f'}, {"Lý", 0, 'f'}, {"Mận", 0, 'f'}, {"Na", 0, 'f'},
    {"Nghĩa", 0, 'm'}, {"Khang", 0, 'm'}, {"Khoa", 0, 'm'}, {"Khôi", 0, 'm'}, {"Kiên", 0, 'm'},
    {"Kiệt", 0, 'm'}, {"Lộc", 0, 'm'}, {"Lợi", 0, 'm'}, {"Luân", 0, 'm'}, {"Mạnh", 0, 'm'},
    {"Nghị", 0, 'm'}, {"Nhật", 0, 'm'}, {"Phát", 0, 'm'}, {"Phước", 0, 'm'}, {"Quốc", 0, 'm'},
    {"Quý", 0, 'm'}, {"Quyết", 0, 'm'}, {"Sang", 0, 'm'}, {"Sỹ", 0, 'm'}, {"Tài", 0, 'm'},
    {"Tấn", 0, 'm'}, {"Thái", 0, 'm'}, {"Thành", 0, 'm'}, {"Thiện", 0, 'm'}, {"Thịnh", 0, 'm'},
    {"Thông", 0, 'm'}, {"Thuận", 0, 'm'}, {"Tín", 0, 'm'}, {"Tính", 0, 'm'}, {"Toản", 0, 'm'},
    {"Trí", 0, 'm'}, {"Triều", 0, 'm'}, {"Trọng", 0, 'm'}, {"Trường", 0, 'm'}, {"Tùng", 0, 'm'},
    {"Tường", 0, 'm'}, {"Văn", 0, 'm'}, {"Việt", 0, 'm'}, {"Vũ", 0, 'm'}, {"Vượng", 0, 'm'},
    {"Xuân", 0, 'm'}, {"Ân", 0, 'm'}, {"Bách", 0, 'm'}, {"Bằng", 0, 'm'}, {"Chiến", 0, 'm'},
    {"Chính", 0, 'm'}, {"Công", 0, 'm'}, {"Cương", 0, 'm'}, {"Doanh", 0, 'm'}, {"Đăng", 0, 'm'},
    {"Điền", 0, 'm'}, {"Định", 0, 'm'}, {"Đông", 0, 'm'}, {"Hậu", 0, 'm'}, {"Hòa", 0, 'm'},
    {"Hưng", 0, 'm'}, {"Khải", 0, 'm'}, {"Khiêm", 0, 'm'}, {"Kỳ", 0, 'm'}, {"Lực", 0, 'm'},
    {"Ninh", 0, 'b'}, {"Quế", 0, 'b'}, {"Nhã", 0, 'b'}, {"Thy", 0, 'f'}, {"Khuê", 0, 'b'},
    {"Đoan", 0, 'b'}, {"Thạch", 0, 'm'}, {"Thúc", 0, 'm'}, {"Khoái", 0, 'm'}, {"Ký", 0, 'm'},
};
LIST(given);

static const struct xt_name_part ede_given_parts[] = {
    {"Hen", 0, 'f'}, {"Bia", 0, 'f'}, {"Nương", 0, 'f'}, {"Luin", 0, 'f'}, {"Yam", 0, 'f'},
    {"Ngoan", 0, 'f'}, {"Thuyên", 0, 'f'}, {"Rút", 0, 'f'}, {"Nga", 0, 'f'}, {"Jiêng", 0, 'f'},
    {"Bhăm", 0, 'm'}, {"Thịnh", 0, 'm'}, {"Khoa", 0, 'm'}, {"Wăn", 0, 'm'}, {"Rin", 0, 'm'},
    {"Siêng", 0, 'm'}, {"Hoan", 0, 'm'}, {"Thông", 0, 'm'}, {"Jut", 0, 'm'}, {"Blô", 0, 'm'},
};
LIST(ede_given);

static const struct xt_name_part ede_clan_parts[] = {
    {"Niê", 0, 'b'}, {"Mlô", 0, 'b'}, {"Êban", 0, 'b'}, {"Ayun", 0, 'b'}, {"Byă", 0, 'b'},
    {"Kbuôr", 0, 'b'}, {"Adrơng", 0, 'b'}, {"Hwing", 0, 'b'}, {"Knul", 0, 'b'}, {"Ênuôl", 0, 'b'},
    {"Niê Kđăm", 0, 'b'}, {"Buôn Krông", 0, 'b'},
};
LIST(ede_clan);

static const struct xt_name_part street_parts[] = {
    {"Tràng Thi", 0, 'b'}, {"Lê Lợi", 0, 'b'}, {"Trần Hưng Đạo", 0, 'b'}, {"Nguyễn Huệ", 0, 'b'},
    {"Hai Bà Trưng", 0, 'b'}, {"Lý Thường Kiệt", 0, 'b'}, {"Quang Trung", 0, 'b'},
    {"Nguyễn Trãi", 0, 'b'}, {"Phan Chu Trinh", 0, 'b'}, {"Hùng Vương", 0, 'b'},
    {"Nguyễn Du", 0, 'b'}, {"Ngô Quyền", 0, 'b'}, {"Bà Triệu", 0, 'b'}, {"Lê Duẩn", 0, 'b'},
    {"Điện Biên Phủ", 0, 'b'}, {"Cách Mạng Tháng Tám", 0, 'b'}, {"Võ Thị Sáu", 0, 'b'},
    {"Hoàng Diệu", 0, 'b'}, {"Phan Bội Châu", 0, 'b'}, {"Nguyễn Văn Linh", 0, 'b'},
    {"Đinh Tiên Hoàng", 0, 'b'}, {"Trường Chinh", 0, 'b'}, {"Giải Phóng", 0, 'b'},
    {"Láng Hạ", 0, 'b'}, {"Xuân Thủy", 0, 'b'}, {"Kim Mã", 0, 'b'}, {"Tôn Đức Thắng", 0, 'b'},
};
LIST(street);

static const struct xt_name_part commune_parts[] = {
    {"An Bình", 0, 'b'}, {"Tân Lập", 0, 'b'}, {"Phú Hòa", 0, 'b'}, {"Đông Sơn", 0, 'b'},
    {"Hòa Bình", 0, 'b'}, {"Tân Tiến", 0, 'b'}, {"Minh Khai", 0, 'b'}, {"Thạnh Phú", 0, 'b'},
    {"Vĩnh Lộc", 0, 'b'}, {"Long Thành", 0, 'b'}, {"Quảng Lợi", 0, 'b'}, {"Yên Sơn", 0, 'b'},
    {"Bình Minh", 0, 'b'}, {"Hải Hà", 0, 'b'}, {"Mỹ Đức", 0, 'b'}, {"Nam Cường", 0, 'b'},
    {"Thanh Sơn", 0, 'b'}, {"Liên Hiệp", 0, 'b'}, {"Đại Đồng", 0, 'b'}, {"Xuân Phú", 0, 'b'},
};
LIST(commune);

static const struct xt_name_part ethnicity_parts[] = { /* 2019 census */
    {"Kinh", 8532, 'b'}, {"Tày", 192, 'b'}, {"Thái", 189, 'b'}, {"Mường", 151, 'b'},
    {"Hmông", 145, 'b'}, {"Khmer", 137, 'b'}, {"Nùng", 113, 'b'}, {"Dao", 93, 'b'},
    {"Hoa", 78, 'b'}, {"Gia Rai", 53, 'b'}, {"Ê Đê", 41, 'b'}, {"Ba Na", 30, 'b'},
    {"Xơ Đăng", 22, 'b'}, {"Sán Chay", 21, 'b'}, {"Cơ Ho", 21, 'b'}, {"Chăm", 19, 'b'},
    {"Sán Dìu", 19, 'b'}, {"Hrê", 0, 'b'}, {"Mnông", 0, 'b'}, {"Ra Glai", 0, 'b'},
    {"Xtiêng", 0, 'b'}, {"Bru - Vân Kiều", 0, 'b'}, {"Thổ", 0, 'b'}, {"Giáy", 0, 'b'},
};
LIST(ethnicity);
/* clang-format on */
