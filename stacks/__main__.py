from corral import deploy

deploy()
