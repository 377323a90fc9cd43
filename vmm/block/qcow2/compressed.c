/* Compressed clusters: deflate without a header (the specification asks for a window of 12 bits) and Zstandard. */
#include "qcow2.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

static bool inflate_cluster(const uint8_t *from, size_t from_length, uint8_t *to, size_t to_length)
{
	z_stream stream = { .next_in = (Bytef *)from, .avail_in = (uInt)from_length, .next_out = to,
			    .avail_out = (uInt)to_length };
	int result;

	if (inflateInit2(&stream, -12) != Z_OK)
		return false;
	result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	/* What follows in the last sector is not ours. */
	return stream.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK);
}

static bool unpack_zstd(const uint8_t *from, size_t from_length, uint8_t *to, size_t to_length)
{
	ZSTD_inBuffer input = { from, from_length, 0 };
	ZSTD_outBuffer output = { to, to_length, 0 };
	ZSTD_DCtx *context = ZSTD_createDCtx();
	bool more = context != NULL;

	while (more && output.pos < output.size) {
		size_t in = input.pos, out = output.pos;
		size_t result = ZSTD_decompressStream(context, &output, &input);

		more = !ZSTD_isError(result) && (input.pos != in || output.pos != out);
	}
	ZSTD_freeDCtx(context);
	return output.pos == output.size;
}

bool qcow2_unpack(const struct qcow2 *image, const uint8_t *from, size_t from_length, uint8_t *to)
{
	return image->header.compression_type ? unpack_zstd(from, from_length, to, image->cluster_size)
					      : inflate_cluster(from, from_length, to, image->cluster_size);
}

static size_t deflate_cluster(const uint8_t *from, size_t from_length, uint8_t *to, size_t to_length)
{
	z_stream stream = { .next_in = (Bytef *)from, .avail_in = (uInt)from_length, .next_out = to,
			    .avail_out = (uInt)to_length };
	int result;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	result = deflate(&stream, Z_FINISH);
	deflateEnd(&stream);
	return result == Z_STREAM_END ? to_length - stream.avail_out : 0;
}

size_t qcow2_pack(const struct qcow2 *image, const uint8_t *from, uint8_t *to, size_t to_length)
{
	size_t length;

	if (!image->header.compression_type)
		return deflate_cluster(from, image->cluster_size, to, to_length);
	length = ZSTD_compress(to, to_length, from, image->cluster_size, ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(length) ? 0 : length;
}

static void copy_out(const struct qcow2_piece *piece, const uint8_t *cluster)
{
	cluster += piece->skip;
	for (unsigned i = 0; i < piece->iov_count; i++) {
		memcpy(piece->iov[i].iov_base, cluster, piece->iov[i].iov_len);
		cluster += piece->iov[i].iov_len;
	}
}

static void packed_done(struct engine_io *io, int error)
{
	struct qcow2_piece *piece = io->opaque;
	struct qcow2 *image = piece->image;

	engine_io_free(image->engine, io);
	if (!image->decompressed)
		image->decompressed = g_malloc(image->cluster_size);
	image->decompressed_entry = 0;
	if (!error && !qcow2_unpack(image, piece->buffer, piece->buffer_iov.iov_len, image->decompressed)) {
		g_warning("%s: a compressed cluster is damaged", image->file.path);
		error = EIO;
	}
	if (!error) {
		image->decompressed_entry = piece->packed;
		copy_out(piece, image->decompressed);
	}
	qcow2_piece_done(piece, error);
}

void qcow2_packed_read(struct qcow2_piece *piece, uint64_t entry, uint64_t skip)
{
	struct qcow2 *image = piece->image;
	struct engine_io *io;

	piece->packed = entry;
	piece->skip = skip;
	if (image->decompressed_entry == entry) {
		copy_out(piece, image->decompressed);
		qcow2_piece_done(piece, 0);
		return;
	}
	io = engine_io_new(image->engine);
	piece->buffer_iov.iov_len = qcow2_packed_length(image, entry);
	piece->buffer_iov.iov_base = piece->buffer = g_malloc(piece->buffer_iov.iov_len);
	io->operation = BLOCK_READ;
	io->file = &image->file;
	io->offset = qcow2_packed_offset(image, entry);
	io->length = piece->buffer_iov.iov_len;
	io->iov = &piece->buffer_iov;
	io->iov_count = 1;
	io->done = packed_done;
	io->opaque = piece;
	engine_submit(image->engine, io);
}
