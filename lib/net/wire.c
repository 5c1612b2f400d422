#include "wire.h"

enum { LENGTH_BYTES = 5 };

static int read_varint(ad_wire *w, uint64_t *out)
{
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && w->at < w->size; shift += 7) {
		uint8_t byte = w->data[w->at++];

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*out = value;
			return 0;
		}
	}
	return -1;
}

int ad_wire_next(ad_wire *w, ad_wire_field *field)
{
	uint64_t tag, length;

	if (w->at == w->size)
		return 0;
	field->start = w->at;
	if (read_varint(w, &tag) || tag > UINT32_MAX || !(tag >> 3))
		return -1;
	field->number = (uint32_t)(tag >> 3);
	field->payload = w->at;
	switch (tag & 7) {
	case AD_WIRE_VARINT:
		if (read_varint(w, &length))
			return -1;
		field->type = AD_WIRE_VARINT;
		field->length = w->at - field->payload;
		return 1;
	case AD_WIRE_64:
		field->type = AD_WIRE_64;
		length = 8;
		break;
	case AD_WIRE_BYTES:
		field->type = AD_WIRE_BYTES;
		if (read_varint(w, &length))
			return -1;
		break;
	case AD_WIRE_32:
		field->type = AD_WIRE_32;
		length = 4;
		break;
	default:
		return -1;
	}
	if (length > w->size - w->at)
		return -1;
	field->payload = w->at;
	field->length = (size_t)length;
	w->at += field->length;
	return 1;
}

static void put_varint(ad_buf *b, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		ad_buf_putc(b, (char)(uint8_t)(value | 0x80));
	ad_buf_putc(b, (char)(uint8_t)value);
}

void ad_wire_put_uint(ad_buf *b, uint32_t number, uint64_t value)
{
	put_varint(b, (uint64_t)number << 3 | AD_WIRE_VARINT);
	put_varint(b, value);
}

void ad_wire_put_bytes(ad_buf *b, uint32_t number, const void *data, size_t size)
{
	put_varint(b, (uint64_t)number << 3 | AD_WIRE_BYTES);
	put_varint(b, size);
	ad_buf_add(b, data, size);
}

size_t ad_wire_begin(ad_buf *b, uint32_t number)
{
	static const uint8_t placeholder[LENGTH_BYTES];

	put_varint(b, (uint64_t)number << 3 | AD_WIRE_BYTES);
	ad_buf_add(b, placeholder, sizeof(placeholder));
	return b->size;
}

/* The length is written in five bytes whatever its value, as the format allows. */
void ad_wire_end(ad_buf *b, size_t begun)
{
	size_t length = b->size - begun;
	int i;

	if (b->failed)
		return;
	for (i = 0; i < LENGTH_BYTES; i++)
		b->data[begun - LENGTH_BYTES + (size_t)i] =
		    (uint8_t)((length >> (7 * i) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}
