"""A real llama-server for the tests: xllamacpp's. Prints its address, and serves until its standard input is closed."""
import sys
import xllamacpp

model, port, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = model
params.port = port
params.n_ctx = 512 * slots
params.n_parallel = slots
params.kv_unified = False
params.n_predict = -1
params.verbosity = 0
params.n_gpu_layers = 0
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.warmup = False
params.cache_ram_mib = 0
# What the program itself keeps keys and values as on the CPU, so that rows are the same to the last bits.
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F16
params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_BF16
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
